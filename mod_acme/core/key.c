#include "core/key.h"
