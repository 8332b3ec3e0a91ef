package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/sirupsen/logrus"

	"ehlogate/cmd/ehlogate/internal/server"
	"ehlogate/lists/listfile"
	"ehlogate/milter"
	"ehlogate/policyd/delegation"
)

// raw is the file as TOML sees it. Values are checked afterwards, so that one
// that is wrong does not hide the next.
type raw struct {
	Mode          *string    `toml:"mode"`
	Default       *string    `toml:"default"`
	AlwaysHide    []string   `toml:"always_hide"`
	ExplicitOffer bool       `toml:"explicit_offer"`
	RequireReply  *string    `toml:"require_reply"`
	MaxEntries    *int       `toml:"max_entries"`
	Policy        rawPolicy  `toml:"policy"`
	Milter        rawMilter  `toml:"milter"`
	Listen        *rawListen `toml:"listen"`
	Log           rawLog     `toml:"log"`
	DNS           rawDNS     `toml:"dns"`
	Limit         *rawLimit  `toml:"limit"`
	Guard         rawGuard   `toml:"guard"`
	List          []rawList  `toml:"list"`
}

type rawListen struct {
	Memcache       []string `toml:"memcache"`
	Socketmap      []string `toml:"socketmap"`
	TCPTable       []string `toml:"tcp_table"`
	Policy         []string `toml:"policy"`
	Milter         []string `toml:"milter"`
	HTTP           []string `toml:"http"`
	SocketGroup    string   `toml:"socket_group"`
	SocketMode     *string  `toml:"socket_mode"`
	MaxConnections *int     `toml:"max_connections"`
}

type rawPolicy struct {
	Suppressed          *string `toml:"suppressed"`
	SuppressedEncrypted *string `toml:"suppressed_encrypted"`
	RequireUnmet        *string `toml:"require_unmet"`
}

type rawMilter struct {
	AddHeader bool `toml:"add_header"`
}

type rawLog struct {
	Level  *string `toml:"level"`
	Format *string `toml:"format"`
}

type rawList struct {
	Name      *string  `toml:"name"`
	Action    *string  `toml:"action"`
	Mode      *string  `toml:"mode"`
	Files     []string `toml:"files"`
	AllowWide bool     `toml:"allow_wide"`

	Format      *string `toml:"format"`
	MinEntries  *int    `toml:"min_entries"`
	ExpireAfter *string `toml:"expire_after"`

	Zones     []rawZone `toml:"zones"`
	Threshold *int      `toml:"threshold"`
}

// parser collects the problems of one file.
type parser struct {
	name     string // for messages
	dir      string // what paths are relative to
	positions   *positions
	problems listfile.Problems
	sockets  map[string]string // addresses so far, and the key they stand in
}

func parse(name, dir string, data []byte) (*Config, error) {
	p := &parser{name: name, dir: dir, sockets: make(map[string]string)}
	if len(data) == 0 {
		p.problems.Add(listfile.Problem{File: name, Msg: "the file has zero bytes, as a half-finished write has", Hint: "for the defaults on purpose write a comment into it"})
		return nil, p.problems.Err()
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff")) // what some editors put before the first line
	var r raw
	if err := toml.Unmarshal(data, &r); err != nil {
		return nil, p.syntaxError(data, err)
	}
	p.positions = findPositions(data)
	if p.checkKeys(data); p.problems.Total > 0 {
		return nil, p.problems.Err() // what else is wrong may follow from it
	}
	c := p.parseConfig(&r)
	c.File = name
	if err := p.problems.Err(); err != nil {
		return nil, err
	}
	return c, nil
}

// tomlProblem puts what the TOML library found into plain words.
func (p *parser) syntaxError(data []byte, err error) error {
	var e *toml.DecodeError
	if !errors.As(err, &e) {
		p.problems.Add(listfile.Problem{File: p.name, Msg: err.Error()})
		return p.problems.Err()
	}
	row, col := e.Position()
	text := ""
	if lines := strings.Split(string(data), "\n"); row >= 1 && row <= len(lines) {
		text = strings.TrimSuffix(lines[row-1], "\r")
	}
	msg, hint := translateError(strings.TrimPrefix(e.Error(), "toml: "))
	p.problems.Add(listfile.Problem{File: p.name, Line: row, Col: col, Width: 1, Text: text, Msg: msg, Hint: hint})
	return p.problems.Err()
}

var wrongType = regexp.MustCompile(`^cannot decode TOML (\w+) .* of type (\S+)$`)

// plainWords speaks of TOML where the library speaks of Go.
func translateError(msg string) (plain, hint string) {
	if m := wrongType.FindStringSubmatch(msg); m != nil {
		wanted, ok := map[string]string{
			"string": `a string: "..."`, "[]string": `a list of strings: ["..."]`, "bool": "true or false", "int": "a number", "float64": "a number",
		}[strings.TrimPrefix(m[2], "*")]
		if !ok {
			wanted = "a table"
		}
		article := "a"
		if strings.ContainsRune("aeio", rune(m[1][0])) {
			article = "an"
		}
		return fmt.Sprintf("%s %s does not belong here", article, m[1]), "write " + wanted
	}
	if strings.Contains(msg, "at start of value") {
		hint = `a word stands in quotes: "..."`
	}
	return msg, hint
}

// fail notes a problem with the value at path, or with what holds it.
func (p *parser) addProblem(path, msg, hint string) { p.addProblemAt(p.positions.lookup(path), msg, hint) }

func (p *parser) addProblemAt(at position, msg, hint string) {
	p.problems.Add(listfile.Problem{File: p.name, Line: at.line, Col: at.col, Width: at.width, Text: at.text, Msg: msg, Hint: hint})
}

var keyword = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9-]*$`) // RFC 5321 ehlo-keyword

func (p *parser) parseConfig(r *raw) *Config {
	c := Defaults()
	p.parseWord(r.Mode, "mode", &c.Mode)
	p.parseDefault(r, c)
	for i, k := range r.AlwaysHide {
		path := fmt.Sprintf("always_hide[%d]", i)
		switch {
		case strings.EqualFold(k, "starttls"):
			p.addProblem(path, "starttls is what the lists decide about", `take it out; to hide it from everybody who is on no list, write default = "suppress"`)
		case !keyword.MatchString(k):
			p.addProblem(path, fmt.Sprintf("%q is no EHLO keyword", k), "copy the words of smtpd_discard_ehlo_keywords, one a string")
		}
	}
	c.AlwaysHide, c.ExplicitOffer, c.Milter.AddHeader = r.AlwaysHide, r.ExplicitOffer, r.Milter.AddHeader
	if s := r.RequireReply; s != nil {
		if err := milter.CheckReply(*s); err != nil {
			p.addProblem("require_reply", err.Error(), `write it as in "450 4.7.0 TLS required"`)
		}
		c.RequireReply, c.Policy.RequireUnmet = *s, *s
	}
	if n := r.MaxEntries; n != nil {
		if *n < 1 {
			p.addProblem("max_entries", fmt.Sprintf("%d entries are none", *n), "leave it out for the default")
		}
		c.MaxEntries = *n
	}
	p.parseAction(r.Policy.Suppressed, "policy.suppressed", &c.Policy.Suppressed)
	p.parseAction(r.Policy.SuppressedEncrypted, "policy.suppressed_encrypted", &c.Policy.SuppressedEncrypted)
	p.parseAction(r.Policy.RequireUnmet, "policy.require_unmet", &c.Policy.RequireUnmet)
	if r.Listen != nil {
		p.parseListen(r.Listen, &c.Listen)
	}
	if s := r.Log.Level; s != nil {
		level, err := logrus.ParseLevel(*s)
		if err != nil || level < logrus.ErrorLevel || level > logrus.DebugLevel {
			p.addProblem("log.level", fmt.Sprintf("%q is no level", *s), "write debug, info, warning or error")
		}
		c.Log.Level = level
	}
	if s := r.Log.Format; s != nil {
		c.Log.JSON = *s == "json"
		if *s != "json" && *s != "text" {
			p.addProblem("log.format", fmt.Sprintf("%q is no format", *s), `write "text" or "json"`)
		}
	}
	if _, ok := p.positions.at["list[0]"]; !ok && len(r.List) > 0 {
		p.addProblem("list", "[list] is one list for all", "write [[list]], once for each")
	}
	for i := range r.List {
		c.Lists = append(c.Lists, p.parseList(&r.List[i], fmt.Sprintf("list[%d]", i), c))
	}
	p.parseDNS(&r.DNS, &c.DNS)
	p.parseGuard(&r.Guard, c)
	return c
}

// text reads a word, if there is one.
func (p *parser) parseWord(s *string, path string, into interface{ UnmarshalText([]byte) error }) {
	if s == nil {
		return
	}
	if err := into.UnmarshalText([]byte(*s)); err != nil {
		msg, hint, _ := strings.Cut(err.Error(), ": ")
		p.addProblem(path, msg, hint)
	}
}

// action reads an access(5) action, if there is one.
func (p *parser) parseAction(s *string, path string, into *string) {
	if s == nil {
		return
	}
	*into = *s
	if err := delegation.CheckAction(*s); err != nil {
		p.addProblem(path, err.Error(), "write an action of access(5) or a restriction class; {action}, {list} and {entry} are filled in")
	}
}

func (p *parser) parseListen(r *rawListen, l *Listen) {
	l.Explicit = len(r.Memcache)+len(r.Socketmap)+len(r.TCPTable)+len(r.Policy)+len(r.Milter)+len(r.HTTP) > 0
	if l.Explicit {
		p.parseSockets(r, l)
	}
	l.SocketGroup = r.SocketGroup
	if s := r.SocketMode; s != nil {
		mode, err := strconv.ParseUint(*s, 8, 9)
		if err != nil || mode == 0 {
			p.addProblem("listen.socket_mode", fmt.Sprintf("%q is no file mode", *s), `write it in octal, as in "0660"`)
		}
		l.SocketMode = fs.FileMode(mode)
	}
	if n := r.MaxConnections; n != nil {
		if *n < 1 {
			p.addProblem("listen.max_connections", fmt.Sprintf("%d connections are none", *n), "leave it out for the default")
		}
		l.MaxConnections = *n
	}
}

// listenAt reads the addresses. Where none is named, the defaults stay.
func (p *parser) parseSockets(r *rawListen, l *Listen) {
	l.Memcache = p.checkAddresses(r.Memcache, "listen.memcache")
	l.Socketmap = p.checkAddresses(r.Socketmap, "listen.socketmap")
	l.TCPTable = p.checkAddresses(r.TCPTable, "listen.tcp_table")
	l.Policy = p.checkAddresses(r.Policy, "listen.policy")
	l.Milter = p.checkAddresses(r.Milter, "listen.milter")
	l.HTTP = p.checkAddresses(r.HTTP, "listen.http")
	if len(l.Memcache)+len(l.Socketmap)+len(l.TCPTable)+len(l.Policy)+len(l.Milter) == 0 {
		p.addProblem("listen", "nothing to be asked through", "name an address for memcache, socketmap, tcp_table, policy or milter, or leave the section out for the defaults")
	}
}

func (p *parser) checkAddresses(addrs []string, path string) []string {
	for i, a := range addrs {
		at := fmt.Sprintf("%s[%d]", path, i)
		if err := server.CheckAddress(a); err != nil {
			p.addProblem(at, fmt.Sprintf("%q: %v", a, err), "")
			continue
		}
		if strings.Contains(a, "/") {
			a = filepath.Clean(a)
		}
		if other, ok := p.sockets[a]; ok && !strings.HasSuffix(a, ":0") {
			p.addProblem(at, fmt.Sprintf("%q is taken by %s", a, other), "give each protocol an address of its own")
		}
		p.sockets[a] = path
	}
	return addrs
}

var listName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

func (p *parser) parseList(r *rawList, path string, c *Config) List {
	l := List{Spec: listfile.Spec{MaxEntries: c.MaxEntries}}
	if r.Name == nil {
		p.addProblem(path, "a list without a name", `write name = "..."; it stands in logs and metrics`)
	} else if l.Name = *r.Name; !listName.MatchString(l.Name) {
		p.addProblem(path+".name", fmt.Sprintf("%q is no name for a list", l.Name), "use letters, digits, and . _ - behind the first")
	}
	for _, b := range c.Lists {
		if r.Name != nil && b.Name == l.Name {
			p.addProblem(path+".name", fmt.Sprintf("a second list %q", l.Name), "give each list a name of its own; one list can have many files")
		}
	}
	if r.Action == nil {
		p.addProblem(path, "a list without an action", `write action = "offer", "suppress" or "require"`)
	}
	p.parseWord(r.Action, path+".action", &l.Action)
	p.parseWord(r.Mode, path+".mode", &l.Mode)
	if len(r.Zones) > 0 {
		p.parseZones(r, path, &l)
		return l
	}
	p.parseFiles(r, path, &l)
	return l
}

// files reads what a list of files is made of.
func (p *parser) parseFiles(r *rawList, path string, l *List) {
	if len(r.Files) == 0 {
		p.addProblem(path, "a list without files and without zones", `write files = ["NAME.list"], relative to this file, or zones = [{zone = "DOMAIN"}]`)
	}
	if r.Threshold != nil {
		p.addProblem(path+".threshold", "a threshold is for lists by DNS", "take it out")
	}
	p.parseFeed(r, path, l)
	l.Spec.Rules = listfile.Rules{Action: l.Action, AllowWide: r.AllowWide}
	for i, f := range r.Files {
		if _, err := filepath.Match(f, "x"); err != nil || f == "" {
			p.addProblem(fmt.Sprintf("%s.files[%d]", path, i), fmt.Sprintf("%q is no file name and no pattern", f), "a [ in a name is written \\\\[")
		}
		if !filepath.IsAbs(f) {
			f = filepath.Join(listfile.EscapeGlob(p.dir), f)
		}
		l.Spec.Patterns = append(l.Spec.Patterns, f)
	}
}
