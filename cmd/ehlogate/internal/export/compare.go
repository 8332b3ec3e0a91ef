package export

import (
	"bufio"
	"bytes"
	"context"
	"slices"
	"strings"

	"ehlogate/lists"
)

const madeBy = "# made by: ehlogate export --format "

// Flags, as the header of a table has them.
const (
	withoutNames = "--without-names"
	withoutDNS   = "--without-dns"
	service      = "--service="
	keyword      = "--keyword="
	// WithoutNetworks means that the networks are in a table of PostfixNetworks.
	WithoutNetworks = "--without-networks"
)

// ParseHeader returns the format and the flags that a table was exported with. ok is false if the text is no exported
// table.
func ParseHeader(table []byte) (format string, flags []string, ok bool) {
	head, _, _ := bytes.Cut(table, []byte("\n"))
	rest, ok := strings.CutPrefix(string(head), madeBy)
	words := strings.Fields(rest)
	if !ok || len(words) == 0 {
		return "", nil, false
	}
	return words[0], words[1:], true
}

// NeededFlags returns the flags that an export of the policy needs. It fails if no flags help.
func (p *Policy) NeededFlags() (flags []string, err error) {
	q := *p
	for _, try := range [][]string{nil, {withoutNames}, {withoutDNS}, {withoutNames, withoutDNS}} {
		q.setFlags(try)
		if err = q.checkExportable(); err == nil {
			return try, nil
		}
	}
	return nil, err
}

func (p *Policy) setFlags(flags []string) {
	p.WithoutNames, p.WithoutDNS, p.WithoutNetworks = slices.Contains(flags, withoutNames), slices.Contains(flags, withoutDNS), slices.Contains(flags, WithoutNetworks)
	p.Service, p.Keyword = lists.SMTP, 0
	for _, flag := range flags {
		if word, ok := strings.CutPrefix(flag, service); ok && word == lists.Submission.String() {
			p.Service = lists.Submission
		}
		if word, ok := strings.CutPrefix(flag, keyword); ok {
			p.Keyword, _ = lists.ParseKeyword(word)
		}
	}
}

// flags returns the flags with which the table is exported again.
func (p *Policy) flags() (flags []string) {
	if p.Service != lists.SMTP {
		flags = append(flags, service+p.Service.String())
	}
	if p.Keyword != 0 {
		flags = append(flags, keyword+p.Keyword.String())
	}
	if p.WithoutNames {
		flags = append(flags, withoutNames)
	}
	if p.WithoutDNS {
		flags = append(flags, withoutDNS)
	}
	if p.WithoutNetworks {
		flags = append(flags, WithoutNetworks)
	}
	return flags
}

// FirstDifference exports again, with the format and flags of a table that was exported before, and
// returns the first line that only one of the two tables has. It returns "" if they differ in comments at most.
func (p *Policy) FirstDifference(ctx context.Context, table []byte) (first string, err error) {
	format, flags, _ := ParseHeader(table)
	q := *p
	q.setFlags(flags)
	var now bytes.Buffer
	if err := q.WriteTable(ctx, format, &now); err != nil {
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

// FirstLine returns the first line of a table in a format, with flags; "" if it has comments at most.
func (p *Policy) FirstLine(ctx context.Context, format string, flags []string) (string, error) {
	return p.FirstDifference(ctx, []byte(madeBy+strings.Join(append([]string{format}, flags...), " ")+"\n"))
}

// nextLine returns the next line that is no comment, and "" at the end.
func nextLine(s *bufio.Scanner) string {
	for s.Scan() {
		if line := strings.TrimSpace(s.Text()); line != "" && line[0] != '#' {
			return line
		}
	}
	return ""
}
