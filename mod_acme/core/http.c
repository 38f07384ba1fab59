#include "core/http.h"
