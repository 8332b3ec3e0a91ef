package lists

import (
	"fmt"
	"strings"
)

// enumName returns the name of an enumerated value.
func enumName(names []string, i int) string {
	if i < len(names) {
		return names[i]
	}
	return fmt.Sprintf("invalid(%d)", i)
}

// parseEnum returns the enumerated value of a name. what is the kind of value, for the error.
func parseEnum(what string, names []string, text []byte) (int, error) {
	for i, n := range names {
		if n == string(text) {
			return i, nil
		}
	}
	return 0, fmt.Errorf(`unknown %s %q: write one of "%s"`, what, text, strings.Join(names, `", "`))
}
