package filewatch

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// expand returns the files that patterns match, each once, in the order of the patterns and sorted within each.
//
// A pattern without wildcards names one file, which must exist. One with wildcards must match one: a list whose files are
// all gone is not empty. A directory that cannot be read is an error: its files are not known. Hidden files and directories
// need a pattern that begins with a dot: editors keep their own under such names.
func expand(patterns []string, activity *Activity) ([]string, error) {
	var out []string
	for _, pattern := range patterns {
		names, err := expandPattern(pattern, activity)
		if err == nil && len(names) == 0 {
			err = noMatchError(pattern)
		}
		if err != nil {
			return nil, err
		}
		out = append(out, names...)
	}
	seen := make(map[string]bool, len(out))
	return slices.DeleteFunc(out, func(name string) bool {
		repeated := seen[name]
		seen[name] = true
		return repeated
	}), nil
}

// expandPattern expands an absolute pattern, one path element after the other. (filepath.Glob ignores errors.)
func expandPattern(pattern string, activity *Activity) ([]string, error) {
	elements := strings.Split(strings.TrimPrefix(filepath.Clean(pattern), "/"), "/")
	found, wild := []string{"/"}, false
	for i, element := range elements {
		var next []string
		plain, isPlain := unescapeGlob(element)
		for _, dir := range found {
			switch {
			case !isPlain:
				names, err := matchDir(dir, element, i == len(elements)-1, activity)
				if wild && isAbsent(err) {
					continue // a file, or deleted meanwhile
				} else if err != nil {
					return nil, err
				}
				next = append(next, names...)
			case wild: // some directories may have no such file
				name := filepath.Join(dir, plain)
				end := activity.begin("lstat", name)
				_, err := os.Lstat(name)
				if end(); isAbsent(err) {
					continue
				} else if err != nil {
					return nil, err
				}
				next = append(next, name)
			default:
				next = append(next, filepath.Join(dir, plain))
			}
		}
		found, wild = next, wild || !isPlain
	}
	return found, nil
}

// matchDir returns what matches in a directory: files if last, else directories.
func matchDir(dir, pattern string, last bool, activity *Activity) (names []string, err error) {
	end := activity.begin("readdir", dir)
	entries, err := os.ReadDir(dir) // sorted
	end()
	for _, e := range entries {
		ok, err := filepath.Match(pattern, e.Name())
		if err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Join(dir, pattern), err)
		}
		hidden := e.Name()[0] == '.' && pattern[0] != '.'
		if ok && !hidden && (last || e.IsDir() || e.Type() == fs.ModeSymlink) {
			names = append(names, filepath.Join(dir, e.Name()))
		}
	}
	return names, err
}

// unescapeGlob returns the name that a pattern without wildcards matches.
func unescapeGlob(pattern string) (name string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(pattern); i++ {
		switch pattern[i] {
		case '*', '?', '[':
			return "", false
		case '\\':
			if i++; i == len(pattern) {
				return "", false // filepath.ErrBadPattern
			}
		}
		b.WriteByte(pattern[i])
	}
	return b.String(), true
}

// EscapeGlob returns the pattern that matches only the file of that name.
func EscapeGlob(name string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(name)
}
