package planted

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Bug is a change of the source that breaks a promise.
type Bug struct {
	Name     string
	Rule     string // of docs/protocols.md; empty: none by number
	File     string // from the root of the repository
	Old, New string // what stands there once, and what is to stand there
	// Test, PACKAGE.NAME, reaches what the bug breaks where seeds seldom get; empty:
	// seeds do.
	Test string
	// Also are other places, in other files: a rule that is kept twice is broken
	// only there.
	Also []Bug
}

// Find returns the bug with a name.
func Find(name string) (Bug, error) {
	var names []string
	for _, b := range Bugs {
		if b.Name == name {
			return b, nil
		}
		names = append(names, b.Name)
	}
	return Bug{}, fmt.Errorf("planted: no bug %q; there are %s", name, strings.Join(names, ", "))
}

// text is the file with the bug.
func (b Bug) text(root string) (string, error) {
	src, err := os.ReadFile(filepath.Join(root, b.File))
	if err != nil {
		return "", fmt.Errorf("planted: %s: %w", b.Name, err)
	}
	if n := strings.Count(string(src), b.Old); n != 1 {
		return "", fmt.Errorf("planted: %s: %s has %d places for it", b.Name, b.File, n)
	}
	return strings.Replace(string(src), b.Old, b.New, 1), nil
}

// Overlay writes the files with the bug into dir, and what tells the go command
// to build them in the place of those under root.
func (b Bug) Overlay(root, dir string) (list string, err error) {
	replace := map[string]string{}
	for i, place := range append([]Bug{b}, b.Also...) {
		text, err := place.text(root)
		if err != nil {
			return "", err
		}
		file := filepath.Join(dir, fmt.Sprintf("%d_%s", i, filepath.Base(place.File)))
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			return "", fmt.Errorf("planted: %w", err)
		}
		replace[filepath.Join(root, place.File)] = file
	}
	data, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", fmt.Errorf("planted: %w", err)
	}
	list = filepath.Join(dir, "planted.json")
	return list, os.WriteFile(list, data, 0o644)
}
