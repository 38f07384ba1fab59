/* Lines of a configuration as httpd has read them; behind core_test.h, whose pool they are of. */
#ifndef ACME_DIRECTIVE_TEST_H
#define ACME_DIRECTIVE_TEST_H

#include <httpd.h>
#include <util_cfgtree.h>

/* A line behind those that are there. */
static ap_directive_t *add(ap_directive_t **section, const char *name,
                           const char *args)
{
    ap_directive_t *node = apr_pcalloc(pool, sizeof(*node));

    node->directive = name;
    node->args = args;
    node->filename = "sites.conf";
    while (*section) {
        section = &(*section)->next;
    }
    *section = node;
    return node;
}

#endif
