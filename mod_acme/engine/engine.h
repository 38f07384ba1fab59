#ifndef ACME_ENGINE_H
#define ACME_ENGINE_H
#endif
