#include "core/ident.h"
