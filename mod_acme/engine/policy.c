#include "engine/policy.h"
