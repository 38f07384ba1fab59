#include "core/resource.h"
