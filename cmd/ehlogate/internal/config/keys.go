package config

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// checkKeys adds a problem for every key that is not spelled exactly as a field of raw. The TOML library ignores case, so
// "Mode" and "mode" would both set the same field, the later one last, without an error. It does refuse a key that occurs
// twice in the same spelling.
func (p *parser) checkKeys(data []byte) {
	c := keyChecker{parser: p}
	c.Reset(data)
	root := table{of: reflect.TypeFor[raw]()}
	in := root
	for c.NextExpression() {
		switch e := c.Expression(); e.Kind {
		case unstable.Table, unstable.ArrayTable:
			in = c.checkKey(root, e)
		case unstable.KeyValue:
			c.checkKeyValue(in, e)
		}
	}
}

type keyChecker struct {
	unstable.Parser
	*parser
}

// table is a table of the document.
type table struct {
	of   reflect.Type // its struct in raw; nil: unknown, and reported
	path string       // for messages
}

func (c *keyChecker) checkKeyValue(in table, kv *unstable.Node) {
	if in.of != nil {
		c.checkValue(c.checkKey(in, kv), kv.Value())
	}
}

// checkValue checks the tables in a value.
func (c *keyChecker) checkValue(in table, v *unstable.Node) {
	for it := v.Children(); it.Next(); {
		switch v.Kind {
		case unstable.Array:
			c.checkValue(in, it.Node())
		case unstable.InlineTable:
			c.checkKeyValue(in, it.Node())
		}
	}
}

// checkKey checks the key of e, which may be dotted, and returns the table it leads to.
func (c *keyChecker) checkKey(in table, e *unstable.Node) table {
	for it := e.Key(); in.of != nil && it.Next(); {
		part := string(it.Node().Data)
		inner := in.lookup(part)
		if inner.of == nil {
			at := c.positions.position(c.Shape(it.Node().Raw))
			at.width = int(it.Node().Raw.Length)
			c.addProblemAt(at, fmt.Sprintf("unknown key %q", inner.path), in.keyHint(part))
		}
		in = inner
	}
	return in
}

// lookup returns the table at a key of t.
func (t table) lookup(key string) table {
	path := key
	if t.path != "" {
		path = t.path + "." + key
	}
	if t.of.Kind() == reflect.Struct {
		for i := range t.of.NumField() {
			f := t.of.Field(i)
			if f.Tag.Get("toml") != key {
				continue
			}
			of := f.Type
			for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice {
				of = of.Elem()
			}
			return table{of, path}
		}
	}
	return table{nil, path}
}

// keyHint returns the right spelling of a key, or all keys of t.
func (t table) keyHint(key string) string {
	if t.of.Kind() != reflect.Struct {
		return t.path + " is not a table"
	}
	same := func(s string) string { return strings.ToLower(strings.NewReplacer("-", "", "_", "").Replace(s)) }
	var known []string
	for i := range t.of.NumField() {
		f := t.of.Field(i)
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
	where := "here"
	if t.path != "" {
		where = "in " + t.path
	}
	return "known " + where + ": " + strings.Join(known, ", ")
}
