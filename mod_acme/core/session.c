#include "core/session.h"
