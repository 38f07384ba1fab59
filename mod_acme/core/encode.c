#include "core/encode.h"

#include <apr_lib.h>
#include <apr_strings.h>
#include <arpa/inet.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MAX_YEAR_TIME APR_INT64_C(253402300799999999) /* end of 9999 */

static const char base64url[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

const char *acme_encode_base64url(const void *data, apr_size_t len,
                                  apr_pool_t *pool)
{
    const unsigned char *in = data;
    char *text = apr_palloc(pool, len / 3 * 4 + 5);
    char *out = text;

    for (; len >= 3; len -= 3, in += 3) {
        *out++ = base64url[in[0] >> 2];
        *out++ = base64url[(in[0] & 0x03) << 4 | in[1] >> 4];
        *out++ = base64url[(in[1] & 0x0f) << 2 | in[2] >> 6];
        *out++ = base64url[in[2] & 0x3f];
    }
    if (len) {
        int second = len == 2 ? in[1] : 0;

        *out++ = base64url[in[0] >> 2];
        *out++ = base64url[(in[0] & 0x03) << 4 | second >> 4];
        if (len == 2) {
            *out++ = base64url[(second & 0x0f) << 2];
        }
    }
    *out = '\0';
    return text;
}

static int sextet(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    if (c == '-') {
        return 62;
    }
    return c == '_' ? 63 : -1;
}

apr_status_t acme_decode_base64url(const unsigned char **data, apr_size_t *len,
                                   const char *text, apr_pool_t *pool)
{
    apr_size_t length = strlen(text);
    unsigned char *bytes;
    unsigned int bits = 0;
    apr_size_t count = 0;
    int held = 0;

    if (length % 4 == 1) {
        return APR_EINVAL;
    }
    bytes = apr_palloc(pool, length / 4 * 3 + 4);
    for (; *text; text++) {
        int value = sextet(*text);

        if (value < 0) {
            return APR_EINVAL;
        }
        bits = (bits << 6 | (unsigned int)value) & 0xffff;
        held += 6;
        if (held >= 8) {
            held -= 8;
            bytes[count++] = (unsigned char)(bits >> held & 0xff);
        }
    }
    /* Bits left over must be zero, or two texts would mean the same. */
    if (bits & ((1u << held) - 1)) {
        return APR_EINVAL;
    }
    bytes[count] = '\0';
    *data = bytes;
    *len = count;
    return APR_SUCCESS;
}

void acme_sha256(unsigned char digest[ACME_SHA256], const void *data,
                 apr_size_t len)
{
    /* That of the moment may be over. */
    if (!SHA256(data, len, digest) && !SHA256(data, len, digest)) {
        abort();
    }
}

const char *acme_encode_hex(const void *data, apr_size_t len, apr_pool_t *pool)
{
    static const char hex[] = "0123456789abcdef";
    const unsigned char *in = data;
    char *text = apr_palloc(pool, 2 * len + 1);
    apr_size_t i;

    for (i = 0; i < len; i++) {
        text[2 * i] = hex[in[i] >> 4];
        text[2 * i + 1] = hex[in[i] & 0x0f];
    }
    text[2 * len] = '\0';
    return text;
}

/* Octets of the UTF-8 character at text, 0 if it is not valid (overlong,
 * surrogate, too large, cut short). A NUL ends every loop before its end. */
static int utf8_length(const unsigned char *text, unsigned int *code)
{
    static const unsigned int smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
    int length = text[0] < 0x80                       ? 1
                 : text[0] >= 0xc2 && text[0] <= 0xdf ? 2
                 : (text[0] & 0xf0) == 0xe0           ? 3
                 : text[0] >= 0xf0 && text[0] <= 0xf4 ? 4
                                                      : 0;
    int i;

    if (length < 2) {
        *code = text[0];
        return length;
    }
    *code = text[0] & (0xffu >> (length + 1));
    for (i = 1; i < length; i++) {
        if ((text[i] & 0xc0) != 0x80) {
            return 0;
        }
        *code = *code << 6 | (text[i] & 0x3fu);
    }
    if (*code < smallest[length] || *code > 0x10ffff
        || (*code >= 0xd800 && *code <= 0xdfff)) {
        return 0;
    }
    return length;
}

int acme_utf8_valid(const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    unsigned int code;
    int length = 1;

    while (*at && length) {
        length = utf8_length(at, &code);
        at += length;
    }
    return length != 0;
}

/* Characters that move the cursor, end the line or reorder the text. */
static int is_deceptive(unsigned int code)
{
    return code < 0x20 || (code >= 0x7f && code <= 0x9f) || code == 0x061c
           || code == 0x200e || code == 0x200f
           || (code >= 0x2028 && code <= 0x202e)
           || (code >= 0x2066 && code <= 0x2069);
}

void acme_encode_cut(char *buffer, apr_size_t size, const char *text)
{
    apr_size_t end = size - 4;

    apr_cpystrn(buffer, text, size);
    if (strlen(text) >= size) {
        while (end && (text[end] & 0xc0) == 0x80) {
            end--;
        }
        memcpy(buffer + end, "...", 4);
    }
}

const char *acme_encode_printable(const char *text, apr_size_t max,
                                  apr_pool_t *pool)
{
    const unsigned char *in = (const unsigned char *)text;
    apr_size_t used = 0, cut = 0, dots, room;
    char *out;

    if (!text) {
        return NULL;
    }
    room = strlen(text);
    if (room > max) {
        room = max;
    }
    out = apr_palloc(pool, room + 1);
    while (*in) {
        unsigned int code;
        int length = utf8_length(in, &code);
        int plain = length && !is_deceptive(code);
        apr_size_t width = plain ? (apr_size_t)length : 1;

        if (used + 3 <= max) {
            cut = used;
        }
        if (used + width > max) {
            dots = max < 3 ? max : 3;
            memcpy(out + cut, "...", dots);
            used = cut + dots;
            break;
        }
        if (plain) {
            memcpy(out + used, in, width);
        }
        else {
            out[used] = '?';
        }
        used += width;
        in += length ? length : 1;
    }
    out[used] = '\0';
    return out;
}

static const char *html_entity(char c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

const char *acme_encode_html(const char *text, apr_pool_t *pool)
{
    apr_size_t size = 1;
    const char *in, *entity;
    char *html, *out;

    for (in = text; *in; in++) {
        entity = html_entity(*in);
        size += entity ? strlen(entity) : 1;
    }
    out = html = apr_palloc(pool, size);
    for (in = text; *in; in++) {
        entity = html_entity(*in);
        if (entity) {
            out = apr_cpystrn(out, entity, strlen(entity) + 1);
        }
        else {
            *out++ = *in;
        }
    }
    *out = '\0';
    return html;
}

int acme_token_valid(const char *token)
{
    apr_size_t length;

    if (!token) {
        return 0;
    }
    for (length = 0; token[length]; length++) {
        if (length == ACME_MAX_TOKEN || sextet(token[length]) < 0) {
            return 0;
        }
    }
    return length > 0;
}

/* After the host: nothing, or a colon and a port. */
static int port_valid(const char *text, const char *end)
{
    long port = 0;

    if (text == end) {
        return 1;
    }
    if (*text++ != ':' || text == end || end - text > 5) {
        return 0;
    }
    for (; text < end; text++) {
        if (!apr_isdigit(*text)) {
            return 0;
        }
        port = port * 10 + (*text - '0');
    }
    return port >= 1 && port <= 65535;
}

/* host [":" port], without user information. Names are plain: percent escapes
 * in them are a way around comparisons. */
static int authority_valid(const char *text, const char *end)
{
    char literal[INET6_ADDRSTRLEN];
    struct in6_addr address;
    const char *host = text;

    if (text < end && *text == '[') {
        const char *close = memchr(text, ']', (size_t)(end - text));

        if (!close || close - text > (int)sizeof(literal)) {
            return 0;
        }
        apr_cpystrn(literal, text + 1, (apr_size_t)(close - text));
        return inet_pton(AF_INET6, literal, &address) == 1
               && port_valid(close + 1, end);
    }
    while (text < end
           && (apr_isalnum(*text) || *text == '.' || *text == '-'
               || *text == '_')) {
        text++;
    }
    return text > host && port_valid(text, end);
}

int acme_url_valid_as(const char *url, const char *scheme)
{
    apr_size_t length;
    const char *host, *end;

    if (!url || strncasecmp(url, scheme, strlen(scheme)) != 0) {
        return 0;
    }
    /* RFC 3986: anything outside of these must be escaped in a URL. */
    for (length = 0; url[length]; length++) {
        if (length == ACME_MAX_URL || url[length] <= ' ' || url[length] >= 0x7f
            || strchr("\"#<>\\^`{|}", url[length])) {
            return 0;
        }
    }
    host = url + strlen(scheme);
    end = host + strcspn(host, "/?");
    return authority_valid(host, end);
}

int acme_url_valid(const char *url)
{
    return acme_url_valid_as(url, "https://");
}

/* count digits at *text as a number within low .. high; moves *text on. */
static int digits(const char **text, int count, int low, int high)
{
    int value = 0;

    for (; count; count--, (*text)++) {
        if (!apr_isdigit(**text)) {
            return -1;
        }
        value = value * 10 + (**text - '0');
    }
    return value >= low && value <= high ? value : -1;
}

static int skip(const char **text, const char *any)
{
    if (!**text || !strchr(any, **text)) {
        return -1;
    }
    (*text)++;
    return 0;
}

static int month_days(int year, int month)
{
    static const int days[] = {
        31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31
    };
    int leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return month == 2 && leap ? 29 : days[month - 1];
}

/* "2026-11-22T08:00:00" */
static int parse_moment(apr_time_exp_t *exp, const char **text)
{
    int year, month;

    memset(exp, 0, sizeof(*exp));
    if ((year = digits(text, 4, 0, 9999)) < 0 || skip(text, "-")
        || (month = digits(text, 2, 1, 12)) < 0 || skip(text, "-")
        || (exp->tm_mday = digits(text, 2, 1, month_days(year, month))) < 0
        || skip(text, "Tt") || (exp->tm_hour = digits(text, 2, 0, 23)) < 0
        || skip(text, ":") || (exp->tm_min = digits(text, 2, 0, 59)) < 0
        || skip(text, ":") || (exp->tm_sec = digits(text, 2, 0, 60)) < 0) {
        return -1;
    }
    exp->tm_year = year - 1900;
    exp->tm_mon = month - 1;
    return 0;
}

/* ".123": any number of digits, of which microseconds count. */
static int parse_fraction(apr_time_exp_t *exp, const char **text)
{
    int scale = 100000;

    if (**text != '.') {
        return 0;
    }
    (*text)++;
    if (!apr_isdigit(**text)) {
        return -1;
    }
    for (; apr_isdigit(**text); (*text)++) {
        exp->tm_usec += (**text - '0') * scale;
        scale /= 10;
    }
    return 0;
}

/* "Z", "+01:00" to the end of the text. */
static int parse_offset(apr_interval_time_t *offset, const char *text)
{
    int sign = *text == '-' ? -1 : 1;
    int hours, minutes;

    if (*text == 'Z' || *text == 'z') {
        *offset = 0;
        return text[1] ? -1 : 0;
    }
    if (skip(&text, "+-") || (hours = digits(&text, 2, 0, 23)) < 0
        || skip(&text, ":") || (minutes = digits(&text, 2, 0, 59)) < 0
        || *text) {
        return -1;
    }
    *offset = apr_time_from_sec(sign * (hours * 3600 + minutes * 60));
    return 0;
}

apr_time_t acme_time_parse_rfc3339(const char *text)
{
    apr_time_exp_t exp;
    apr_interval_time_t offset;
    apr_time_t time;

    if (!text || parse_moment(&exp, &text) || parse_fraction(&exp, &text)
        || parse_offset(&offset, text)
        || apr_time_exp_gmt_get(&time, &exp) != APR_SUCCESS) {
        return 0;
    }
    time -= offset;
    return time > 0 ? time : 0;
}

const char *acme_time_format(apr_time_t time, apr_pool_t *pool)
{
    apr_time_exp_t exp;

    time = time < 0 ? 0 : time > MAX_YEAR_TIME ? MAX_YEAR_TIME : time;
    apr_time_exp_gmt(&exp, time);
    return apr_psprintf(pool, "%04d-%02d-%02dT%02d:%02d:%02dZ",
                        exp.tm_year + 1900, exp.tm_mon + 1, exp.tm_mday,
                        exp.tm_hour, exp.tm_min, exp.tm_sec);
}
