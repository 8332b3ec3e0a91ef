package maillog

import (
	"time"
)

// A stamp is nanoseconds since 1970, UTC; 0 means that there is none.
type stamp = int64

// stamps reads the times of a log. Most lines have nearly the time of the line before them, so hours are remembered.
type stamps struct {
	zone *time.Location // of times without one
	// newest is a time that no line can be much newer than, such as that of the file. It tells the year of RFC 3164.
	newest time.Time
	hour   [9]byte // "Nov 28 05"
	start  stamp   // of that hour
}

const day = 24 * time.Hour

// is3164 reports whether b begins as "Nov 28 05:44:47 " does.
func is3164(b []byte) bool {
	return len(b) > 16 && b[3] == ' ' && b[6] == ' ' && b[9] == ':' && b[12] == ':' && b[15] == ' '
}

// parse3164 reads "Nov 28 05:44:47" (RFC 3164 section 4.1.2), the first 15 bytes of b.
func (s *stamps) parse3164(b []byte) (stamp, bool) {
	minute, ok1 := twoDigits(b[10:])
	second, ok2 := twoDigits(b[13:])
	if !ok1 || !ok2 {
		return 0, false
	}
	if [9]byte(b) != s.hour || s.start == 0 {
		month := monthOf(b)
		d, ok := twoDigits(b[4:])
		if b[4] == ' ' {
			d, ok = int(b[5]-'0'), b[5]-'0' < 10
		}
		hour, ok3 := twoDigits(b[7:])
		if month == 0 || !ok || !ok3 || d == 0 {
			return 0, false
		}
		s.hour, s.start = [9]byte(b), s.withYear(month, d, hour).UnixNano()
	}
	return s.start + int64(minute)*int64(time.Minute) + int64(second)*int64(time.Second), true
}

// withYear returns the last such hour that is not more than a day newer than the file. A clock may be wrong by that much,
// and a file copied to another zone.
func (s *stamps) withYear(month time.Month, d, hour int) time.Time {
	latest := s.newest.Add(day)
	for year := latest.In(s.zone).Year(); ; year-- {
		t := time.Date(year, month, d, hour, 0, 0, 0, s.zone)
		if !t.After(latest) && (t.Day() == d || d != 29) { // 29 February
			return t
		}
	}
}

// parseISO reads "2020-03-19T16:16:47", with a fraction and a zone (RFC 3339) or without, with a space for the T, and with
// a space in front of the zone, as Exim has it. It returns how many bytes that are.
func (s *stamps) parseISO(b []byte) (at stamp, length int, ok bool) {
	if len(b) < 19 || b[4] != '-' || b[7] != '-' || b[10] != 'T' && b[10] != ' ' || b[13] != ':' || b[16] != ':' {
		return 0, 0, false
	}
	century, ok0 := twoDigits(b)
	year, ok1 := twoDigits(b[2:])
	month, ok2 := twoDigits(b[5:])
	d, ok3 := twoDigits(b[8:])
	hour, ok4 := twoDigits(b[11:])
	minute, ok5 := twoDigits(b[14:])
	second, ok6 := twoDigits(b[17:])
	if !ok0 || !ok1 || !ok2 || !ok3 || !ok4 || !ok5 || !ok6 || month == 0 || month > 12 {
		return 0, 0, false
	}
	rest := b[19:]
	var nanos int64
	if len(rest) > 1 && (rest[0] == '.' || rest[0] == ',') {
		n, unit := 1, int64(time.Second)
		for ; n < len(rest) && rest[n]-'0' < 10; n++ {
			unit /= 10
			nanos += int64(rest[n]-'0') * unit
		}
		rest = rest[n:]
	}
	date := func(zone *time.Location) stamp {
		return time.Date(year+100*century, time.Month(month), d, hour, minute, second, int(nanos), zone).UnixNano()
	}
	switch {
	case len(rest) > 0 && rest[0] == 'Z':
		return date(time.UTC), len(b) - len(rest) + 1, true
	case len(rest) > 1 && rest[0] == ' ' && (rest[1] == '+' || rest[1] == '-') && b[10] == ' ':
		rest = rest[1:]
	}
	if offset, n, ok := parseOffset(rest); ok {
		return date(time.UTC) - int64(offset), len(b) - len(rest) + n, true
	}
	return date(s.zone), len(b) - len(rest), true
}

// parseOffset reads "+01:00" or "+0100".
func parseOffset(b []byte) (offset time.Duration, length int, ok bool) {
	if len(b) < 5 || b[0] != '+' && b[0] != '-' {
		return 0, 0, false
	}
	hours, ok1 := twoDigits(b[1:])
	length = 3
	if b[3] == ':' {
		length++
	}
	minutes, ok2 := twoDigits(b[length:])
	if !ok1 || !ok2 {
		return 0, 0, false
	}
	offset = time.Duration(hours)*time.Hour + time.Duration(minutes)*time.Minute
	if b[0] == '-' {
		offset = -offset
	}
	return offset, length + 2, true
}

func twoDigits(b []byte) (int, bool) {
	if len(b) < 2 || b[0]-'0' > 9 || b[1]-'0' > 9 {
		return 0, false
	}
	return int(b[0]-'0')*10 + int(b[1]-'0'), true
}

// monthOf returns the month of "Nov", or 0.
func monthOf(b []byte) time.Month {
	switch string(b[:3]) {
	case "Jan":
		return time.January
	case "Feb":
		return time.February
	case "Mar":
		return time.March
	case "Apr":
		return time.April
	case "May":
		return time.May
	case "Jun":
		return time.June
	case "Jul":
		return time.July
	case "Aug":
		return time.August
	case "Sep":
		return time.September
	case "Oct":
		return time.October
	case "Nov":
		return time.November
	case "Dec":
		return time.December
	}
	return 0
}
