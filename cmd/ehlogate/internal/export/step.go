package export

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
)

const madeBy = "# made by: ehlogate export --format "

// The flags that a table is made with, as they stand in its head.
const (
	withoutNames = "--without-names"
	withoutDNS   = "--without-dns"
)

// Made returns what a table was exported with: its format, and the flags besides. ok is false if the text is no exported table.
func Made(table []byte) (format string, flags []string, ok bool) {
	head, _, _ := bytes.Cut(table, []byte("\n"))
	rest, ok := strings.CutPrefix(string(head), madeBy)
	words := strings.Fields(rest)
	if !ok || len(words) == 0 {
		return "", nil, false
	}
	return words[0], words[1:], true
}

// Needed returns the flags without which no table can be made of the policy. It fails if none can be made with them either.
func (p *Policy) Needed() (flags []string, err error) {
	q := *p
	for _, try := range [][]string{nil, {withoutNames}, {withoutDNS}, {withoutNames, withoutDNS}} {
		q.with(try)
		if err = q.check(); err == nil {
			return try, nil
		}
	}
	return nil, err
}

// with sets what flags say.
func (p *Policy) with(flags []string) {
	p.WithoutNames, p.WithoutDNS = slices.Contains(flags, withoutNames), slices.Contains(flags, withoutDNS)
}

// Difference compares a table for Postfix or Exim that was exported before with what is exported now, with the same flags,
// and returns the first line that is in one of them alone; empty if they decide the same. Comments do not count.
func (p *Policy) Difference(ctx context.Context, table []byte) (first string, err error) {
	format, flags, _ := Made(table)
	q := *p
	q.with(flags)
	var now bytes.Buffer
	switch format {
	case "postfix-cidr":
		err = q.PostfixCIDR(ctx, &now)
	case "exim-hosts":
		err = q.EximHosts(ctx, &now)
	default:
		err = fmt.Errorf("a table in the format %q cannot be compared", format)
	}
	if err != nil {
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
