package export

import (
	"bufio"
	"bytes"
	"context"
	"slices"
	"strings"
)

const madeBy = "# made by: ehlogate export --format "

// The flags that a table is made with, as they stand in its head.
const (
	withoutNames = "--without-names"
	withoutDNS   = "--without-dns"
)

// Flags returns the flags, besides --format, that a table for Postfix was exported with. ok is false if the text is no such
// table.
func Flags(table []byte) (flags []string, ok bool) {
	head, _, _ := bytes.Cut(table, []byte("\n"))
	rest, ok := strings.CutPrefix(string(head), madeBy)
	flags = strings.Fields(rest)
	if !ok || len(flags) == 0 || flags[0] != "postfix-cidr" {
		return nil, false
	}
	return flags[1:], true
}

// Difference compares a table for Postfix that was exported before with what is exported now, with the same flags, and
// returns the first line that is in one of them alone; empty if they decide the same. Comments do not count.
func (p *Policy) Difference(ctx context.Context, table []byte, flags []string) (first string, err error) {
	q := *p
	q.WithoutNames, q.WithoutDNS = slices.Contains(flags, withoutNames), slices.Contains(flags, withoutDNS)
	var now bytes.Buffer
	if err := q.PostfixCIDR(ctx, &now); err != nil {
		return "", err
	}
	was, is := bufio.NewScanner(bytes.NewReader(table)), bufio.NewScanner(&now)
	for {
		a, b := nextLine(was), nextLine(is)
		switch {
		case a == b && a == "":
			return "", nil
		case a == b:
		case b == "":
			return a, nil
		default:
			return b, nil
		}
	}
}

// nextLine returns the next line that is no comment; empty at the end.
func nextLine(s *bufio.Scanner) string {
	for s.Scan() {
		if line := strings.TrimSpace(s.Text()); line != "" && line[0] != '#' {
			return line
		}
	}
	return ""
}
