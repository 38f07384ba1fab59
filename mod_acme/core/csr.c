#include "core/csr.h"
