#include "core/renewal.h"
