#include "engine/job.h"
