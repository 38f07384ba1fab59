#include "engine/seal.h"
