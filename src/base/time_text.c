// Days to a date of the proleptic Gregorian calendar, counted in eras of 400 years that begin on a
// 1st of March, so that the leap day is the last one of its year (the method is Howard Hinnant's).
#include "base/time_text.h"

#include <stdio.h>

enum { DAY_MS = 86400000, ERA_DAYS = 146097, DAYS_TO_1970 = 719468 };

static int64_t floor_divide(int64_t a, int64_t b) {
    return a / b - (a % b < 0);
}

char *time_text(int64_t ms, char text[TIME_TEXT_SIZE]) {
    int64_t day = floor_divide(ms, DAY_MS);
    int64_t rest = ms % DAY_MS + (ms % DAY_MS < 0 ? DAY_MS : 0);
    day += DAYS_TO_1970;
    int64_t era = floor_divide(day, ERA_DAYS);
    int64_t in_era = day - era * ERA_DAYS;
    int64_t year_of_era = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
    int64_t in_year = in_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month_from_march = (5 * in_year + 2) / 153;
    int64_t day_of_month = in_year - (153 * month_from_march + 2) / 5 + 1;
    int64_t month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
    int64_t year = year_of_era + era * 400 + (month <= 2);
    snprintf(text, TIME_TEXT_SIZE, "%04lld-%02lld-%02lldT%02lld:%02lld:%02lld.%03lldZ",
             (long long)year, (long long)month, (long long)day_of_month,
             (long long)(rest / 3600000), (long long)(rest / 60000 % 60),
             (long long)(rest / 1000 % 60), (long long)(rest % 1000));
    return text;
}
