#include "store_test.h"

static void test_smoke(void **state)
{
    acme_store_t *store = open_store();
    (void)state;
    put_sample(store, SHOP);
    acme_record_t *r = promote(store, SHOP);
    assert_non_null(r);
    assert_int_equal(r->number, 1);
    assert_int_equal(current_number(store), 1);
    assert_null(promote(store, SHOP));
    system(apr_pstrcat(pool, "ls -lR ", root, NULL));
}
int main(void)
{
    const struct CMUnitTest tests[] = { STORE_TEST(test_smoke) };
    apr_initialize();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
