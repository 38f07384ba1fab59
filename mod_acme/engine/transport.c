#include "engine/transport.h"
