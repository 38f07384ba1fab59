#include "core/order.h"
