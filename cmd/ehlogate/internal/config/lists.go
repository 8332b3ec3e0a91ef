package config

import (
	"fmt"
	"strings"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/answer"
	"ehlogate/lists/dnsbl"
	"ehlogate/lists/feed"
	"ehlogate/lists/lazyregexp"
	"ehlogate/lists/listfile"
	"ehlogate/lists/secret"
	"ehlogate/lists/tlspolicy"
)

var listName = lazyregexp.New(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// IsListName reports whether a list can have a name.
func IsListName(name string) bool { return listName.MatchString(name) }

func (p *parser) parseList(r *rawList, path string, c *Config) List {
	l := List{Spec: listfile.Spec{MaxEntries: c.MaxEntries}}
	if r.Name == nil {
		p.addProblem(path, "missing key name", `write name = "..."; logs and metrics show it`)
	} else if l.Name = *r.Name; !IsListName(l.Name) {
		p.addProblem(path+".name", fmt.Sprintf("invalid list name %q", l.Name), "use letters and digits, and . _ - after the first character")
	}
	for _, b := range c.Lists {
		if r.Name != nil && b.Name == l.Name {
			p.addProblem(path+".name", fmt.Sprintf("duplicate list name %q", l.Name), "choose another name; one list can have many files")
		}
	}
	p.parseEffects(r, path, &l)
	p.parseWord(r.Mode, path+".mode", &l.Mode)
	if r.Learn != nil {
		p.parseLearned(r, path, &l, c)
		return l
	}
	if len(r.Zones) > 0 {
		p.parseZones(r, path, &l)
		return l
	}
	p.parseFiles(r, path, &l)
	return l
}

func (p *parser) parseFiles(r *rawList, path string, l *List) {
	if len(r.Files) == 0 {
		p.addProblem(path, "list has neither files nor zones", `write files = ["NAME.list"], relative to this file, or zones = [{zone = "DOMAIN"}], or learn = "fallback" or "earned"`)
	}
	if r.Threshold != nil {
		p.addProblem(path+".threshold", "threshold is for DNS lists only", "remove it")
	}
	p.parseFeed(r, path, l)
	l.Spec.Rules = listfile.Rules{Action: l.Action, Hides: l.Hide != 0, AllowWide: r.AllowWide}
	p.parsePatterns(r.Files, path+".files", &l.Spec)
}

// parseFeed reads the keys of a list in a format that others write.
func (p *parser) parseFeed(r *rawList, path string, l *List) {
	if s := r.Format; s != nil && *s != "list" {
		f, err := feed.ParseFormat(*s)
		if err != nil {
			p.addProblem(path+".format", fmt.Sprintf("unknown format %q", *s), `write "list" or one of `+strings.Join(feed.Formats(), ", "))
		}
		l.Spec.Format = f
	}
	p.parseFilters(r, path, l)
	p.parseCount(r.MinEntries, path+".min_entries", 1, &l.Spec.MinEntries)
	p.parseDuration(r.ExpireAfter, path+".expire_after", time.Minute, 366*24*time.Hour, &l.Spec.ExpireAfter)
}

var resultName = lazyregexp.New(`^[A-Za-z0-9_-]+$`)

// parseFilters reads which entries of the files count.
func (p *parser) parseFilters(r *rawList, path string, l *List) {
	format, _ := l.Spec.Format.(feed.Format)
	filtered := feed.Filtered{Format: format}
	if len(r.Results) > 0 && !format.HasResults() {
		p.addProblem(path+".results", "results are for tables of Postfix and Sendmail", `set the format of the files, such as format = "postfix-cidr", or remove the key`)
	}
	for i, word := range r.Results {
		if !resultName.MatchString(word) {
			p.addProblem(fmt.Sprintf("%s.results[%d]", path, i), fmt.Sprintf("invalid result %q", word), `write the first word of a result, such as "reject" or "550"`)
		}
	}
	filtered.Results = strings.ToLower(strings.Join(r.Results, " "))
	if s := r.Answer; s != nil {
		var err error
		switch filtered.Answer, err = answer.Parse(*s); {
		case !format.HasAnswers():
			p.addProblem(path+".answer", "answer is for files of rbldnsd, or belongs to a zone", `set the format of the files, such as format = "rbldnsd-ip4set"; for a zone write it inside the braces: zones = [{zone = "DOMAIN", answer = "..."}]`)
		case err != nil:
			p.addProblem(path+".answer", err.Error(), filterExample)
		case filtered.Answer.HasScore():
			p.addProblem(path+".answer", "N, a score, is for zones only", filterExample)
		}
	}
	if filtered != (feed.Filtered{Format: format}) {
		l.Spec.Format = filtered
	}
}

const filterExample = `write a filter such as "127.0.0.[2..11]" or "127.0.[0..255].[1;3]"`

func (p *parser) parseZones(r *rawList, path string, l *List) {
	for _, k := range []struct {
		key   string
		there bool
	}{{"files", len(r.Files) > 0}, {"allow_wide", r.AllowWide}, {"format", r.Format != nil}, {"results", len(r.Results) > 0}, {"min_entries", r.MinEntries != nil}, {"expire_after", r.ExpireAfter != nil}} {
		if k.there {
			p.addProblem(path+"."+k.key, k.key+" is not for DNS lists", "a list has either zones or files: write two lists")
		}
	}
	if r.Answer != nil {
		p.addProblem(path+".answer", "answer of a DNS list belongs to a zone", `write it inside the braces: zones = [{zone = "DOMAIN", answer = "..."}]`)
	}
	l.Zones.Threshold = 1
	if r.Threshold != nil {
		l.Zones.Threshold = *r.Threshold
	}
	most, before := 0, p.problems.Total
	for i := range r.Zones {
		at := fmt.Sprintf("%s.zones[%d]", path, i)
		z := p.parseZone(&r.Zones[i], at, l)
		p.compareDomain(z.Domain, at)
		most += z.Highest()
		l.Zones.Zones = append(l.Zones.Zones, z)
	}
	if most < l.Zones.Threshold && p.problems.Total == before {
		p.addProblem(path+".threshold", fmt.Sprintf("threshold %d cannot be reached: the weights of all zones add up to %d at most", l.Zones.Threshold, most), "lower it, or raise a weight")
	}
}

// compareDomain refuses a zone that would be taken for another one in logs and metrics.
func (p *parser) compareDomain(domain secret.Text, path string) {
	if domain.IsZero() {
		return // missing
	}
	for _, other := range p.domains {
		if err := dnsbl.CompareDomains(other, domain); err != nil {
			p.addProblem(path+".zone", err.Error(), `write name = "..." beside each zone: another name for another domain, the same for the same`)
			return
		}
	}
	p.domains = append(p.domains, domain)
}

func (p *parser) parseZone(r *rawZone, path string, l *List) dnsbl.Zone {
	z := dnsbl.Zone{Weight: 1}
	name := ""
	if r.Name != nil {
		if name = *r.Name; !listName.MatchString(name) {
			p.addProblem(path+".name", fmt.Sprintf("invalid name %q of a zone", name), "use letters and digits, and . _ - after the first character")
		}
	}
	if r.Zone == nil {
		p.addProblem(path, "missing key zone", `write {zone = "DOMAIN"}`)
	} else if z.Domain = dnsbl.NewDomain(*r.Zone, name); tlspolicy.CheckDomain(*r.Zone) != nil {
		p.addProblem(path+".zone", fmt.Sprintf("invalid domain %q", secret.MaskText(z.Domain.String())), `write the domain of the DNS list, such as "list.dnswl.org"`)
	}
	if r.By != nil {
		switch *r.By {
		case "address":
		case "name":
			if z.ByName = true; l.Action == lists.Require {
				p.addProblem(path+".by", `by = "name" is not possible with action = "require"`, "use addresses: mail servers query by client address")
			}
		default:
			p.addProblem(path+".by", fmt.Sprintf("unknown value %q of by", *r.By), `write "address" or "name" (the verified host name)`)
		}
	}
	if r.Answer != nil {
		var err error
		if z.Answer, err = answer.Parse(*r.Answer); err != nil {
			p.addProblem(path+".answer", err.Error(), `write a filter such as "127.0.0.[2..11]", "127.0.[0..255].[1;3]" or, for a score, "127.0.4.N"`)
		}
	}
	if r.Weight != nil {
		if z.Weight = *r.Weight; z.Weight == 0 || z.Weight < -1000 || z.Weight > 1000 {
			p.addProblem(path+".weight", fmt.Sprintf("invalid weight %d", z.Weight), "write a number from -1000 to 1000 other than 0")
		}
	}
	z.NoHealthCheck = r.HealthCheck != nil && !*r.HealthCheck
	return z
}
