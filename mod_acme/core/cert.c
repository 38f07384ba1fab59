#include "core/cert.h"
