package export

import (
	"bufio"
	"cmp"
	"context"
	"io"
	"iter"
	"net/netip"
	"strings"

	"ehlogate/lists"
	"ehlogate/policyd"
)

// rule is a line of a table: the clients of a network have a value.
type rule struct {
	netip.Prefix
	value string
}

// useOfTable is how to use a cidr table.
const useOfTable = `run "postfix reload" after every change: a running smtpd does not notice it`

// WritePostfixCIDR writes a cidr_table(5) for smtpd_discard_ehlo_keyword_address_maps, with its rules in nested blocks: see
// blockWriter. If the table cannot express the policy, it writes nothing and returns why; entries about names are
// *diag.Problems. The policy is decided while the table is written, twice, so that memory does not grow with its length.
func (p *Policy) WritePostfixCIDR(ctx context.Context, out io.Writer) error {
	return p.writeWholeCIDR(ctx, out, PostfixCIDR, writeBlocks, useOfTable)
}

// WritePostfixCIDRFlat is WritePostfixCIDR without blocks: Postfix compares a client with one rule after the other.
func (p *Policy) WritePostfixCIDRFlat(ctx context.Context, out io.Writer) error {
	return p.writeWholeCIDR(ctx, out, PostfixCIDRFlat, writeRules, useOfTable)
}

func (p *Policy) writeWholeCIDR(ctx context.Context, out io.Writer, format string, write ruleWriter, use ...string) error {
	p, values, err := p.prepareValues()
	if err != nil {
		return err
	}
	return p.writeRanges(out, format, values, decideRanges(ctx, p, values.nameOf), write, use...)
}

// ruleWriter writes rules that are disjoint and in order.
type ruleWriter func(*bufio.Writer, iter.Seq[rule])

// writeRanges writes a cidr table with the values of all addresses.
func (p *Policy) writeRanges(to io.Writer, format string, values *valueNames, ranges iter.Seq[decidedRange[string]], write ruleWriter, use ...string) error {
	others := p.chooseOnce(format, ranges, values.byDefault)
	out := bufio.NewWriterSize(to, 1<<16)
	p.writeHeader(out, format, use...)
	write(out, func(yield func(rule) bool) {
		var prefixes []netip.Prefix
		for r := range ranges {
			if r.value == others[r.From().BitLen()] {
				continue
			}
			prefixes = r.AppendPrefixes(prefixes[:0])
			for _, prefix := range prefixes {
				if !yield(rule{prefix, cmp.Or(r.value, values.offer)}) {
					return
				}
			}
		}
	})
	for _, all := range families {
		if value := others[all.Addr().BitLen()]; value != "" {
			writeRule(out, rule{all, value})
		}
	}
	return out.Flush()
}

// valueNames are the values of a table, each one string.
type valueNames struct {
	service   lists.Service
	values    *policyd.Values
	names     map[string]string
	buf       []byte
	byDefault string // for clients on no list
	offer     string // for clients that need no line, where another line would have them
}

// prepareValues returns the policy that a table can express, and its values.
func (p *Policy) prepareValues() (*Policy, *valueNames, error) {
	p, err := p.reduceToTable()
	if err != nil {
		return nil, nil, err
	}
	v := &valueNames{service: p.Service, values: policyd.NewValues(p.Config.AlwaysHide, false), names: make(map[string]string)}
	v.byDefault = v.nameOf(p.decideUnlisted())
	v.offer = string(policyd.NewValues(p.Config.AlwaysHide, true).Append(nil, p.Service, &lists.Decision{}))
	return p, v, nil
}

// nameOf returns the value of a decision; "" for one that needs no line.
func (v *valueNames) nameOf(d *lists.Decision) string {
	v.buf = v.values.Append(v.buf[:0], v.service, d)
	name, ok := v.names[string(v.buf)]
	if !ok {
		name = string(v.buf)
		v.names[name] = name
	}
	return name
}

// chooseOnce is chooseOthers for the first of several texts of the same table: to decide about millions of ranges takes seconds.
func (p *Policy) chooseOnce(format string, ranges iter.Seq[decidedRange[string]], byDefault string) map[int]string {
	table := strings.Join(append(p.flags(), format), " ")
	if p.others == nil {
		return chooseOthers(ranges, byDefault)
	}
	if p.others[table] == nil {
		p.others[table] = chooseOthers(ranges, byDefault)
	}
	return p.others[table]
}

// chooseOthers returns, by the length of an address in bits, the value for the addresses that need no line of their own:
// that of the default, unless another one makes the table less than half as long.
func chooseOthers(ranges iter.Seq[decidedRange[string]], byDefault string) map[int]string {
	type key struct {
		bits  int
		value string
	}
	lines := make(map[key]*int)
	all := make(map[int]int)
	var order []key // so that the choice does not depend on that of the map
	for r := range ranges {
		k := key{r.From().BitLen(), r.value}
		count := lines[k]
		if count == nil {
			order, count = append(order, k), new(int)
			lines[k] = count
		}
		n := countPrefixes(r.IPRange)
		*count += n
		all[k.bits] += n
	}
	others := map[int]string{32: byDefault, 128: byDefault}
	linesOf := func(bits int) int {
		if count := lines[key{bits, others[bits]}]; count != nil {
			return *count
		}
		return 0
	}
	for _, k := range order {
		if all[k.bits]-*lines[k] < (all[k.bits]-linesOf(k.bits)+1)/2 {
			others[k.bits] = k.value
		}
	}
	return others
}

// decideUnlisted returns the decision about clients that are on no list.
func (p *Policy) decideUnlisted() *lists.Decision {
	d := new(lists.Decision)
	if p.suppressesByDefault() {
		d.Action = lists.Suppress
	}
	return d
}

// suppressesByDefault reports whether clients on no list are not offered STARTTLS.
func (p *Policy) suppressesByDefault() bool {
	return p.Policy.Default == lists.Suppress && p.Policy.Mode == lists.Enforce && p.Policy.Guard == nil && p.Service == lists.SMTP
}
