#include "core/proof.h"
