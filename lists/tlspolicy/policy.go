package tlspolicy

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	maxPolicy = 64 << 10 // bytes (RFC 8461 section 3.3)
	maxMaxAge = 31557600 // seconds (section 3.2)
)

// policy is what counts here of one (RFC 8461 section 3.2).
type policy struct {
	mode   MTASTS
	maxAge time.Duration
}

// parsePolicy reads a policy, as strictly as a sender may who will not take
// another one for it.
func parsePolicy(text []byte) (policy, error) {
	var p policy
	text = bytes.TrimSuffix(text, []byte("\n")) // behind the last line it may be missing
	seen := make(map[string]bool)
	n := 0
	for line := range bytes.SplitSeq(text, []byte("\n")) {
		n++
		key, value, err := splitField(string(bytes.TrimSuffix(line, []byte("\r"))))
		if err == nil && (!seen[key] || key == "mx") { // of several the first counts
			seen[key] = true
			err = p.set(key, value)
		}
		if err != nil {
			return policy{}, fmt.Errorf("line %d of the policy: %w", n, err)
		}
	}
	for _, key := range []string{"version", "mode", "max_age", "mx"} {
		if !seen[key] && (key != "mx" || p.mode != MTASTSNone) {
			return policy{}, fmt.Errorf("the policy has no %s", key)
		}
	}
	return p, nil
}

// splitField reads a line.
func splitField(line string) (key, value string, err error) {
	key, value, ok := strings.Cut(line, ":")
	value = strings.Trim(value, " \t")
	control := func(c rune) bool { return c < ' ' || c == 0x7f }
	switch {
	case !ok || !isExtensionName(key):
		return "", "", fmt.Errorf("%.80q is not of the form key: value", line)
	case value == "":
		return "", "", fmt.Errorf("%s has no value", key)
	case !utf8.ValidString(value) || strings.ContainsFunc(value, control):
		return "", "", fmt.Errorf("the value of %s has control characters, or is not in UTF-8", key)
	}
	return key, value, nil
}

// set takes a field; one that it does not know it ignores.
func (p *policy) set(key, value string) error {
	switch key {
	case "version":
		if value != "STSv1" {
			return fmt.Errorf("version %.80q, and only STSv1 is known", value)
		}
	case "mode":
		switch p.mode = MTASTS(value); p.mode {
		case MTASTSEnforce, MTASTSTesting, MTASTSNone:
		default:
			return fmt.Errorf("mode %.80q is none of enforce, testing and none", value)
		}
	case "max_age":
		n, err := strconv.ParseUint(value, 10, 64)
		if err != nil || len(value) > 10 || n > maxMaxAge {
			return fmt.Errorf("max_age %.80q is no number of seconds from 0 to %d", value, maxMaxAge)
		}
		p.maxAge = time.Duration(n) * time.Second
	case "mx":
		host := strings.TrimPrefix(value, "*.")
		err := hostNameError(strings.ToLower(host))
		if err == nil && strings.HasSuffix(host, ".") {
			err = errors.New("it ends with a dot")
		}
		if err != nil {
			return fmt.Errorf("mx %.80q: %w", value, err)
		}
	}
	return nil
}
