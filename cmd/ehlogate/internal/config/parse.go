package config

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/sirupsen/logrus"

	"ehlogate/lists/diag"
	"ehlogate/lists/lazyregexp"
	"ehlogate/lists/secret"
	"ehlogate/milter"
)

// parser reads one config file and collects its problems.
type parser struct {
	name      string // for messages
	dir       string // directory of relative paths
	lines     []string
	positions map[string]diag.Problem // places without a message, by paths such as listen.memcache[0] and list[2].name
	problems  diag.Problems
	sockets   []usedAddress // so far
	domains   []secret.Text // zones so far
}

// usedAddress is an address of [listen], and its key.
type usedAddress struct{ addr, path string }

func parse(name, dir string, data []byte) (*Config, error) {
	p := &parser{name: name, dir: dir, positions: make(map[string]diag.Problem)}
	if len(data) == 0 {
		p.addProblemAt(diag.Problem{}, "empty file (truncated write?)", "to use the defaults, write a comment into it")
		return nil, p.problems.Err()
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff")) // byte order mark, which some editors write
	p.lines = strings.Split(string(data), "\n")
	var r raw
	if err := toml.Unmarshal(data, &r); err != nil {
		p.addSyntaxError(err)
		return nil, p.problems.Err()
	}
	if p.walkDocument(data); p.problems.Total > 0 {
		p.addInvalidValues(&r)
		return nil, p.problems.Err()
	}
	c := p.parseConfig(&r)
	c.File, c.Digest = name, digest(data)
	if err := p.problems.Err(); err != nil {
		return nil, err
	}
	return c, nil
}

// addInvalidValues adds the problems with values to those with keys. Others may only follow from a key that is unknown.
func (p *parser) addInvalidValues(r *raw) {
	keys := p.problems
	p.problems = diag.Problems{}
	p.parseConfig(r)
	values := p.problems.First
	p.problems = keys
	for _, v := range values {
		if strings.HasPrefix(v.Msg, "unknown ") || strings.HasPrefix(v.Msg, "invalid ") {
			p.problems.Add(v)
		}
	}
}

func (p *parser) addSyntaxError(err error) {
	e, ok := errors.AsType[*toml.DecodeError](err)
	if !ok {
		p.addProblemAt(diag.Problem{}, err.Error(), "")
		return
	}
	line, col := e.Position()
	msg, hint, text := strings.TrimPrefix(e.Error(), "toml: "), "", ""
	if line >= 1 && line <= len(p.lines) {
		text = p.lines[line-1]
	}
	value := text[min(max(0, col-1), len(text)):]
	if m := wrongType.FindStringSubmatch(msg); m != nil {
		msg, hint = "wrong type: "+m[1], hintForType(text, strings.TrimPrefix(m[2], "*"))
	} else if hint = hintForWord(value); hint == "" || !strings.Contains(text, "=") {
		msg, hint = repairSyntax(text, msg)
	} else {
		msg = simplifyMessage(msg)
	}
	if strings.HasPrefix(msg, "table ") && strings.HasSuffix(msg, " already exists") {
		hint = p.findFirstTable(line)
	}
	p.addProblemAt(p.placeAt(line, col, 1), msg, hint)
}

// findFirstTable returns a hint that names the first line with the same table as a line; "" if there is none.
func (p *parser) findFirstTable(line int) (hint string) {
	header := func(text string) string {
		head, _, _ := strings.Cut(text, "]")
		return strings.Join(strings.Fields(head), "")
	}
	for i := range min(line-1, len(p.lines)) {
		if head := header(p.lines[i]); head != "" && line <= len(p.lines) && head == header(p.lines[line-1]) {
			return fmt.Sprintf("the first %s] is in line %d: put the keys there", head, i+1)
		}
	}
	return ""
}

var wrongType = lazyregexp.New(`^cannot decode TOML (\w+) .* of type (\S+)$`)

var typeHints = map[string]string{
	"string": `write a string: "..."`, "[]string": `write a list of strings: ["..."]`, "bool": "write true or false", "int": "write a number", "float64": "write a number",
}

var durationKey = lazyregexp.New(`^\s*(\w+\.)?(wait|timeout|stale|min_ttl|max_ttl|keep|expire_after|spacing|span|max_age|leave_alone|immunity|neighbors|life|max_life|total_life|probe_after|breaker_span|rest|observe_for|of)\s*=`)

// hintForType returns what to write in a line with a value of another type than the Go type wanted.
func hintForType(line, wanted string) string {
	key, _, _ := strings.Cut(line, "=")
	switch hint := typeHints[wanted]; {
	case strings.Contains(key, "cpu_pressure"):
		return hintPressure
	case durationKey.MatchString(line):
		return `write a string with a unit, such as "300ms", "10s" or "7d"`
	case hint != "":
		return hint
	case strings.Contains(key, "zones"):
		return `write zones = [{zone = "DOMAIN"}]`
	default:
		return fmt.Sprintf("write a section, [%s], and its keys below", strings.TrimSpace(key))
	}
}

var bareWord = lazyregexp.New(`^[A-Za-z]+\b`)

// hintForWord returns what to write in place of a value that begins with a bare word, if it is another word for true or
// false.
func hintForWord(value string) string {
	switch strings.ToLower(bareWord.FindString(value)) {
	case "true", "yes", "on", "y":
		return "write true"
	case "false", "no", "off", "n":
		return "write false"
	}
	return ""
}

// addProblem adds a problem with the value at path or, if there is none, with the table around it.
func (p *parser) addProblem(path, msg, hint string) {
	place, ok := p.positions[path]
	for !ok && path != "" {
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
		place, ok = p.positions[path]
	}
	p.addProblemAt(place, msg, hint)
}

func (p *parser) addProblemAt(place diag.Problem, msg, hint string) {
	place.File, place.Msg, place.Hint = p.name, secret.MaskText(msg), hint
	p.problems.Add(place)
}

func (p *parser) placeAt(line, col, width int) diag.Problem {
	place := diag.Problem{Line: line, Col: col, Width: width}
	if line >= 1 && line <= len(p.lines) {
		place.Text = secret.MaskLine(strings.TrimSuffix(p.lines[line-1], "\r"))
	}
	return place
}

var keyword = lazyregexp.New(`^[A-Za-z0-9][A-Za-z0-9-]*$`) // RFC 5321 ehlo-keyword

func (p *parser) parseConfig(r *raw) *Config {
	c := Defaults()
	p.parseWord(r.Mode, "mode", &c.Mode)
	p.parseDefault(r, c)
	for i, k := range r.AlwaysHide {
		path := fmt.Sprintf("always_hide[%d]", i)
		switch {
		case strings.EqualFold(k, "starttls"):
			p.addProblem(path, "starttls must not be in always_hide", `remove it; to hide STARTTLS from clients that are on no list, write default = "suppress"`)
		case !keyword.MatchString(k):
			p.addProblem(path, fmt.Sprintf("invalid EHLO keyword %q", k), "copy the keywords of smtpd_discard_ehlo_keywords, each as a string of its own")
		}
	}
	c.AlwaysHide, c.ExplicitOffer, c.Milter.AddHeader = r.AlwaysHide, r.ExplicitOffer, r.Milter.AddHeader
	if s := r.RequireReply; s != nil {
		if err := milter.CheckReply(*s); err != nil {
			p.addProblem("require_reply", err.Error(), `write a reply such as "450 4.7.0 TLS required"`)
		}
		c.RequireReply, c.Policy.RequireUnmet = *s, *s
	}
	p.parseCount(r.MaxEntries, "max_entries", 1, &c.MaxEntries)
	p.parseAction(r.Policy.Suppressed, "policy.suppressed", &c.Policy.Suppressed)
	p.parseAction(r.Policy.SuppressedEncrypted, "policy.suppressed_encrypted", &c.Policy.SuppressedEncrypted)
	p.parseAction(r.Policy.RequireUnmet, "policy.require_unmet", &c.Policy.RequireUnmet)
	if r.Listen != nil {
		p.parseListen(r.Listen, &c.Listen)
	}
	p.parseHosts(&r.HTTP, &c.HTTP)
	if s := r.Log.Level; s != nil {
		level, err := logrus.ParseLevel(*s)
		if err != nil || level < logrus.ErrorLevel || level > logrus.DebugLevel {
			p.addProblem("log.level", fmt.Sprintf("unknown log level %q", *s), `write "debug", "info", "warning" or "error"`)
		}
		c.Log.Level = level
	}
	if s := r.Log.Format; s != nil {
		c.Log.JSON = *s == "json"
		if *s != "json" && *s != "text" {
			p.addProblem("log.format", fmt.Sprintf("unknown log format %q", *s), `write "text" or "json"`)
		}
	}
	if _, ok := p.positions["list[0]"]; !ok && len(r.List) > 0 {
		p.addProblem("list", "[list] must be [[list]]", "write [[list]] for each list")
	}
	for i := range r.List {
		c.Lists = append(c.Lists, p.parseList(&r.List[i], fmt.Sprintf("list[%d]", i), c))
	}
	p.parseDNS(&r.DNS, &c.DNS)
	p.parseGuard(&r.Guard, c)
	p.parseLogs(&r.Logs, &c.Logs)
	p.parseLearn(r, c)
	p.parseState(r.TLSRPT.State, "tlsrpt.state", &c.TLSRPT.State)
	p.parseState(r.Edits.Journal, "edits.journal", &c.Edits.Journal)
	p.parseState(r.Edits.Used, "edits.used", &c.Edits.Used)
	p.checkStates(c)
	return c
}
