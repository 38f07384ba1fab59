#include "core/encode.h"
