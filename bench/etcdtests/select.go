package etcdtests

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
)

// In keeps the tests that stand in source files of the package whose names match one of
// the patterns.
func (l *Lab) In(pkg string, patterns, tests []string) ([]string, error) {
	var declared []string
	for _, p := range patterns {
		files, err := filepath.Glob(filepath.Join(l.source, pkg, p))
		if err != nil {
			return nil, fmt.Errorf("file pattern %q: %w", p, err)
		}
		if len(files) == 0 {
			return nil, fmt.Errorf("package %s has no file %s", pkg, p)
		}
		for _, path := range files {
			f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				return nil, err
			}
			for _, d := range f.Decls {
				if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil {
					declared = append(declared, fn.Name.Name)
				}
			}
		}
	}
	return slices.DeleteFunc(slices.Clone(tests), func(t string) bool { return !slices.Contains(declared, t) }), nil
}
