package config

import (
	"reflect"
	"slices"
	"strings"
)

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
