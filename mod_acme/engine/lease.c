#include "engine/lease.h"
