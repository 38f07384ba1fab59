#include "core/jws.h"
