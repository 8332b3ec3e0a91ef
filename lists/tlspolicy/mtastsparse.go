package tlspolicy

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/miekg/dns"

	"ehlogate/lists"
	"ehlogate/lists/lazyregexp"
)

const (
	maxPolicySize = 64 << 10 // bytes (RFC 8461 section 3.3)
	maxMaxAge     = 31557600 // seconds (section 3.2)
)

var (
	isPolicyID  = lazyregexp.New(`^[A-Za-z0-9]{1,32}$`).MatchString
	isFieldName = lazyregexp.New(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,31}$`).MatchString // in the record and in the policy
)

// policyRecords returns the TXT records that are about MTA-STS (RFC 8461 section 3.1).
func policyRecords(answer []dns.RR) (records []string) {
	for _, rr := range answer {
		if txt, ok := rr.(*dns.TXT); ok {
			if s := strings.Join(txt.Txt, ""); strings.HasPrefix(s, "v=STSv1;") {
				records = append(records, s)
			}
		}
	}
	return records
}

// parseRecord returns the id of the policy that a record announces. The record begins with "v=STSv1;".
func parseRecord(s string) (id string, err error) {
	fields := strings.Split(s, ";")[1:]
	for i, field := range fields {
		field = strings.Trim(field, " \t")
		if field == "" && i == len(fields)-1 && i > 0 {
			break // the last delimiter may stand alone
		}
		name, value, ok := strings.Cut(field, "=")
		switch {
		case !ok || !isFieldName(name):
			return "", fmt.Errorf("invalid field %q in the record: must be name=value", field)
		case value == "" || strings.ContainsFunc(value, func(c rune) bool { return c <= ' ' || c > '~' || c == '=' }):
			return "", fmt.Errorf("invalid value in field %q of the record", field)
		case name == "id" && id == "": // of several the first counts
			if id = value; !isPolicyID(id) {
				return "", fmt.Errorf("invalid id %q in the record: must be 1 to 32 letters and digits", value)
			}
		}
	}
	if id == "" {
		return "", errors.New("missing id in the record")
	}
	return id, nil
}

// policy has the fields of an MTA-STS policy that count here (RFC 8461 section 3.2).
type policy struct {
	mode   State
	maxAge time.Duration
}

// parsePolicy parses a policy as strictly as senders may.
func parsePolicy(text []byte) (policy, error) {
	var p policy
	text = bytes.TrimSuffix(text, []byte("\n")) // which the last line may lack
	seen := make(map[string]bool)
	n := 0
	for line := range bytes.SplitSeq(text, []byte("\n")) {
		n++
		key, value, err := parseField(string(bytes.TrimSuffix(line, []byte("\r"))))
		if err == nil && (!seen[key] || key == "mx") { // of several the first counts
			seen[key] = true
			err = p.setField(key, value)
		}
		if err != nil {
			return policy{}, fmt.Errorf("line %d of the policy: %w", n, err)
		}
	}
	for _, key := range []string{"version", "mode", "max_age", "mx"} {
		if !seen[key] && (key != "mx" || p.mode != None) {
			return policy{}, fmt.Errorf("missing %s in the policy", key)
		}
	}
	return p, nil
}

func parseField(line string) (key, value string, err error) {
	key, value, ok := strings.Cut(line, ":")
	value = strings.Trim(value, " \t")
	isControl := func(c rune) bool { return c < ' ' || c == 0x7f }
	switch {
	case !ok || !isFieldName(key):
		return "", "", fmt.Errorf("invalid line %.80q: must be key: value", line)
	case value == "":
		return "", "", fmt.Errorf("missing value of %s", key)
	case !utf8.ValidString(value) || strings.ContainsFunc(value, isControl):
		return "", "", fmt.Errorf("%s has control characters, or is not UTF-8", key)
	}
	return key, value, nil
}

// setField checks and takes a field. Unknown ones are ignored.
func (p *policy) setField(key, value string) error {
	switch key {
	case "version":
		if value != "STSv1" {
			return fmt.Errorf("unknown version %.80q: must be STSv1", value)
		}
	case "mode":
		switch p.mode = State(value); p.mode {
		case Enforce, Testing, None:
		default:
			return fmt.Errorf("unknown mode %.80q: must be enforce, testing or none", value)
		}
	case "max_age":
		n, err := strconv.ParseUint(value, 10, 64)
		if err != nil || len(value) > 10 || n > maxMaxAge {
			return fmt.Errorf("invalid max_age %.80q: must be 0 to %d seconds", value, maxMaxAge)
		}
		p.maxAge = time.Duration(n) * time.Second
	case "mx":
		err := lists.CheckHostName(strings.TrimPrefix(value, "*."))
		if err == nil && strings.HasSuffix(value, ".") {
			err = errors.New("ends in a dot")
		}
		if err != nil {
			return fmt.Errorf("invalid mx %.80q: %w", value, err)
		}
	}
	return nil
}
