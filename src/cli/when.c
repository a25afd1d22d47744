#include "cli/when.h"

struct scan {
    const uint8_t *at, *end;
};

static bool take(struct scan *in, uint8_t c) {
    if (in->at == in->end || *in->at != c) return false;
    in->at++;
    return true;
}

// `digits` digits of a number within [min, max].
static bool take_number(struct scan *in, int digits, int64_t min, int64_t max, int64_t *number) {
    int64_t n = 0;
    for (int i = 0; i < digits; i++, in->at++) {
        if (in->at == in->end || *in->at < '0' || *in->at > '9') return false;
        n = n * 10 + (*in->at - '0');
    }
    *number = n;
    return n >= min && n <= max;
}

// Days since 1970 of a date in the Gregorian calendar; years are counted from March, so that the
// day that leap years have more is their last.
static int64_t days_of(int64_t year, int64_t month, int64_t day) {
    if (month <= 2) year--;
    int64_t era = year / 400, year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
           719468;
}

static int64_t days_in_month(int64_t year, int64_t month) {
    static const int8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

// Digits behind the point: thousandths count, the rest is passed over.
static bool take_fraction(struct scan *in, int64_t *ms) {
    int64_t weight = 100, n = 0;
    const uint8_t *begin = in->at;
    for (; in->at < in->end && *in->at >= '0' && *in->at <= '9'; in->at++, weight /= 10)
        n += weight * (*in->at - '0');
    *ms = n;
    return in->at > begin;
}

static bool take_time(struct scan *in, int64_t *ms) {
    int64_t hour, minute, second = 0, thousandths = 0;
    if (!take_number(in, 2, 0, 23, &hour) || !take(in, ':')) return false;
    if (!take_number(in, 2, 0, 59, &minute)) return false;
    if (take(in, ':')) {
        if (!take_number(in, 2, 0, 59, &second)) return false;
        if (take(in, '.') && !take_fraction(in, &thousandths)) return false;
    }
    *ms = ((hour * 60 + minute) * 60 + second) * 1000 + thousandths;
    return true;
}

static bool take_zone(struct scan *in, int64_t *ms) {
    *ms = 0;
    if (in->at == in->end || take(in, 'Z')) return true;
    int64_t sign = 1, hours, minutes = 0;
    if (take(in, '-')) {
        sign = -1;
    } else if (!take(in, '+')) {
        return false;
    }
    if (!take_number(in, 2, 0, 18, &hours)) return false;
    take(in, ':');
    if (in->at < in->end && !take_number(in, 2, 0, 59, &minutes)) return false;
    *ms = sign * (hours * 60 + minutes) * 60000;
    return true;
}

bool when_parse(struct slice text, int64_t *ms) {
    struct scan in = {text.data, text.data + text.size};
    int64_t year, month, day, time = 0, zone;
    if (!take_number(&in, 4, 1, 9999, &year) || !take(&in, '-')) return false;
    if (!take_number(&in, 2, 1, 12, &month) || !take(&in, '-')) return false;
    if (!take_number(&in, 2, 1, days_in_month(year, month), &day)) return false;
    if (take(&in, 'T') && !take_time(&in, &time)) return false;
    if (!take_zone(&in, &zone) || in.at != in.end) return false;
    *ms = days_of(year, month, day) * 86400000 + time - zone;
    return true;
}

bool when_parse_duration(struct slice text, int64_t *ms) {
    static const struct {
        uint8_t letter;
        bool is_time;
        int64_t ms;
    } units[] = {
        {'D', false, 86400000}, {'H', true, 3600000}, {'M', true, 60000}, {'S', true, 1000}};
    struct scan in = {text.data, text.data + text.size};
    if (!take(&in, 'P')) return false;
    int64_t total = 0;
    bool is_time = false, any = false;
    size_t next = 0;  // units come in this order, each once
    while (in.at < in.end) {
        if (!is_time && take(&in, 'T')) is_time = true;
        int64_t n = 0, fraction = 0;
        const uint8_t *begin = in.at;
        for (; in.at < in.end && *in.at >= '0' && *in.at <= '9'; in.at++) {
            if (n > 100000000) return false;
            n = n * 10 + (*in.at - '0');
        }
        if (in.at == begin) return false;
        bool has_fraction = take(&in, '.');
        if (has_fraction && !take_fraction(&in, &fraction)) return false;
        while (next < 4 &&
               (in.at == in.end || units[next].letter != *in.at || units[next].is_time != is_time))
            next++;
        if (next == 4 || (has_fraction && units[next].letter != 'S')) return false;
        total += n * units[next].ms + fraction;
        in.at++;
        next++;
        any = true;
    }
    if (!any) return false;
    *ms = total;
    return true;
}
