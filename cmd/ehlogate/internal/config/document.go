package config

import (
	"fmt"
	"reflect"
	"slices"
	"sort"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"

	"ehlogate/lists/diag"
)

// walkDocument finds the positions of all keys and values in a valid document. It adds a problem for every key that is not
// spelled exactly as a field of raw: the TOML library ignores case, so "Mode" and "mode" would both set the same field, the
// later one last, without an error. It does refuse a key that occurs twice in the same spelling.
func (p *parser) walkDocument(data []byte) {
	w := walker{parser: p, lines: findLines(data)}
	w.Reset(data)
	root := table{of: reflect.TypeFor[raw]()}
	in := root
	count := make(map[string]int) // elements of arrays of tables
	for w.NextExpression() {
		switch e := w.Expression(); e.Kind {
		case unstable.Table:
			in = w.walkKey(root, e)
		case unstable.ArrayTable:
			array := w.walkKey(root, e)
			in = array.element(count[array.at])
			count[array.at]++
			p.positions[in.at] = p.positions[array.at]
		case unstable.KeyValue:
			w.walkKeyValue(in, e)
		}
	}
}

type walker struct {
	unstable.Parser
	*parser
	lines []int // where each begins
}

// table is a table or a value of the document.
type table struct {
	of   reflect.Type // its struct in raw; nil: unknown, and reported
	path string       // for messages
	at   string       // path with the indexes of arrays, such as list[2].name
}

func (t table) element(i int) table {
	t.at = fmt.Sprintf("%s[%d]", t.at, i)
	return t
}

func (w *walker) walkKeyValue(in table, kv *unstable.Node) {
	if in.of != nil {
		w.walkValue(w.walkKey(in, kv), kv.Value())
	}
}

func (w *walker) walkValue(in table, v *unstable.Node) {
	if v.Raw.Length > 0 {
		w.positions[in.at] = w.findPlace(v.Raw)
	}
	i := 0
	for it := v.Children(); it.Next(); i++ {
		switch v.Kind {
		case unstable.Array:
			w.walkValue(in.element(i), it.Node())
		case unstable.InlineTable:
			w.walkKeyValue(in, it.Node())
		}
	}
}

// walkKey checks the key of e, which may be dotted, and returns what it leads to.
func (w *walker) walkKey(in table, e *unstable.Node) table {
	var begin diag.Problem
	for it := e.Key(); in.of != nil && it.Next(); {
		part := string(it.Node().Data)
		place := w.findPlace(it.Node().Raw)
		if begin.Line == 0 {
			begin = place
		}
		inner := in.lookup(part)
		if inner.of == nil {
			w.addProblemAt(place, fmt.Sprintf("unknown key %q", inner.path), in.keyHint(part))
		}
		in = inner
	}
	w.positions[in.at] = begin
	return in
}

// findPlace returns the place of a range. Shape of the parser would count the lines before it, each time from the first on.
func (w *walker) findPlace(r unstable.Range) diag.Problem {
	offset := int(r.Offset)
	line := sort.Search(len(w.lines), func(i int) bool { return w.lines[i] > offset })
	return w.placeAt(line, offset-w.lines[line-1]+1, int(r.Length))
}

// findLines returns where each line begins.
func findLines(data []byte) []int {
	lines := []int{0}
	for i, b := range data {
		if b == '\n' {
			lines = append(lines, i+1)
		}
	}
	return lines
}

func (t table) lookup(key string) table {
	inner := table{path: strings.TrimPrefix(t.path+"."+key, "."), at: strings.TrimPrefix(t.at+"."+key, ".")}
	if t.of.Kind() != reflect.Struct {
		return inner
	}
	for f := range t.of.Fields() {
		if f.Tag.Get("toml") == key {
			inner.of = f.Type
		}
	}
	for inner.of != nil && (inner.of.Kind() == reflect.Pointer || inner.of.Kind() == reflect.Slice) {
		inner.of = inner.of.Elem()
	}
	return inner
}

// keyHint returns what to write instead of an unknown key: its place or its spelling, else all keys of t.
func (t table) keyHint(key string) string {
	if t.of.Kind() != reflect.Struct {
		return t.path + " is not a table"
	}
	if top := (table{of: reflect.TypeFor[raw]()}).lookup(key).of; t.path != "" && top != nil {
		if top.Kind() == reflect.Struct {
			return fmt.Sprintf("it is a section of its own: write [%s]", key)
		}
		return "it belongs above the first section"
	}
	if place := t.findKey(key); place != "" {
		return "it belongs in " + place
	}
	if t.path == "" && strings.TrimSuffix(key, "s") == "list" {
		return "write [[list]] for each list"
	}
	same := func(s string) string { return strings.ToLower(strings.NewReplacer("-", "", "_", "").Replace(s)) }
	var known []string
	for f := range t.of.Fields() {
		name := f.Tag.Get("toml")
		if same(name) == same(key) {
			return fmt.Sprintf("write %s: the spelling of keys is exact, also in upper and lower case", name)
		}
		switch kind := f.Type.Kind(); {
		case t.path != "":
		case kind == reflect.Struct, kind == reflect.Pointer && f.Type.Elem().Kind() == reflect.Struct:
			name = "[" + name + "]"
		case kind == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct:
			name = "[[" + name + "]]"
		}
		known = append(known, name)
	}
	if name := findSimilar(key, known); name != "" {
		return "did you mean " + name + "?"
	}
	where := "here"
	if t.path != "" {
		where = "in " + t.path
	}
	return "known " + where + ": " + strings.Join(known, ", ")
}

// findKey returns the one section, other than t, that has a key; "" if none or several have it.
func (t table) findKey(key string) (place string) {
	root := table{of: reflect.TypeFor[raw]()}
	for f := range root.of.Fields() {
		name := f.Tag.Get("toml")
		section := root.lookup(name)
		if section.of.Kind() != reflect.Struct || name == t.path || section.lookup(key).of == nil {
			continue
		}
		if place != "" {
			return ""
		}
		if place = "[" + name + "]"; f.Type.Kind() == reflect.Slice {
			place = "[[" + name + "]]"
		}
	}
	return place
}

// findSimilar returns the one of names that differs from word least: by a third of its letters at most. "" if there is none.
func findSimilar(word string, names []string) (similar string) {
	least := max(1, len(word)/3) + 1
	for _, name := range names {
		if d := distance(strings.ToLower(word), strings.Trim(name, "[]")); d < least {
			similar, least = name, d
		}
	}
	return similar
}

// distance returns how many letters must be inserted, deleted or replaced to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			next := diagonal
			if a[i] != b[j] {
				next = 1 + slices.Min([]int{diagonal, row[j], row[j+1]})
			}
			diagonal, row[j+1] = row[j+1], next
		}
	}
	return row[len(b)]
}
