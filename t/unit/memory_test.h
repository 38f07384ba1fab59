/* For tests that something takes no more memory as time goes by. */
#ifndef ACME_MEMORY_TEST_H
#define ACME_MEMORY_TEST_H

#include <stdio.h>
#include <unistd.h>

/* Octets of memory that are not of files, of all this process has: APR's pools map
 * theirs, so malloc knows nothing of it. Skips the test under a sanitizer. */
static long test_mapped(void)
{
#ifdef __SANITIZE_ADDRESS__
    skip(); /* it keeps what was freed */
#endif
    FILE *file = fopen("/proc/self/statm", "re");
    long pages = 0;

    assert_non_null(file);
    assert_int_equal(fscanf(file, "%*d %*d %*d %*d %*d %ld", &pages), 1);
    fclose(file);
    return pages * sysconf(_SC_PAGESIZE);
}

#endif
