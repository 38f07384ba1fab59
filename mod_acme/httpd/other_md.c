#include "httpd/other_md.h"

#include <apr_strings.h>
#include <http_config.h>
#include <string.h>
#include <util_cfgtree.h>

#include "httpd/config.h"

static void add_names(apr_hash_t *names, const ap_directive_t *node,
                      apr_pool_t *pool)
{
    const char *args = node->args ? node->args : "";
    const char *where = acme_where_text(node->filename, node->line_num, pool);

    while (*args) {
        char *word = ap_getword_conf(pool, &args);
        apr_size_t len = strlen(word);

        if (len && word[len - 1] == '>') { /* of a section's first line */
            word[len - 1] = '\0';
        }
        ap_str_tolower(word);
        if (*word && strcmp(word, "auto") && strcmp(word, "manual")
            && !apr_hash_get(names, word, APR_HASH_KEY_STRING)) {
            apr_hash_set(names, word, APR_HASH_KEY_STRING, where);
        }
    }
}

static void add_section(apr_hash_t *names, const ap_directive_t *section,
                        apr_pool_t *pool)
{
    const ap_directive_t *node;

    add_names(names, section, pool);
    for (node = section->first_child; node; node = node->next) {
        if (!strcasecmp(node->directive, "MDMember")) {
            add_names(names, node, pool);
        }
    }
}

apr_hash_t *acme_other_md_names(apr_pool_t *pool)
{
    const ap_directive_t *node;
    apr_hash_t *names;

    if (!ap_find_linked_module("mod_md.c")) {
        return NULL;
    }
    names = apr_hash_make(pool);
    for (node = ap_conftree; node; node = node->next) {
        if (!strcasecmp(node->directive, "MDomain")) {
            add_names(names, node, pool);
        }
        else if (!strncasecmp(node->directive, "<MDomain", 8)) {
            add_section(names, node, pool);
        }
    }
    return apr_hash_count(names) ? names : NULL;
}

/* Itself, or a wildcard for it. */
static const char *find(const char **where, apr_hash_t *names, const char *name,
                        apr_pool_t *pool)
{
    char *lower = apr_pstrdup(pool, name);
    const char *dot;

    ap_str_tolower(lower);
    *where = apr_hash_get(names, lower, APR_HASH_KEY_STRING);
    dot = strchr(lower, '.');
    if (!*where && dot) {
        *where = apr_hash_get(names, apr_pstrcat(pool, "*", dot, NULL),
                              APR_HASH_KEY_STRING);
    }
    return *where ? lower : NULL;
}

static const char *find_among(const char **where, apr_hash_t *names,
                              const apr_array_header_t *aliases,
                              apr_pool_t *pool)
{
    const char *found = NULL;
    int i;

    for (i = 0; aliases && i < aliases->nelts && !found; i++) {
        const char *alias = APR_ARRAY_IDX(aliases, i, const char *);

        found = alias ? find(where, names, alias, pool) : NULL;
    }
    return found;
}

const char *acme_other_md_has(const char **where, apr_hash_t *names,
                              const server_rec *s, apr_pool_t *pool)
{
    const char *found = NULL;

    if (!names) {
        return NULL;
    }
    if (s->server_hostname) {
        found = find(where, names, s->server_hostname, pool);
    }
    if (!found) {
        found = find_among(where, names, s->names, pool);
    }
    return found ? found : find_among(where, names, s->wild_names, pool);
}
