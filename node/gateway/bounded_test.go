package gateway

import (
	"errors"
	"io"
	"strings"
	"testing"
)

func TestBounded(t *testing.T) {
	for name, c := range map[string]struct {
		body string
		ok   bool
	}{
		"small":                     {`{"key":"YQ=="}`, true},
		"many small ones":           {strings.Repeat(`{"key":"YQ=="}`+"\n", 100), true},
		"as large as may be":        {`{"k":"` + strings.Repeat("a", 92) + `"}`, true},
		"too large":                 {`{"k":"` + strings.Repeat("a", 100) + `"}`, false},
		"braces in a string":        {`{"k":"` + strings.Repeat("}{", 50) + `"}`, false},
		"a quote in a string":       {`{"k":"\"` + strings.Repeat("}", 100) + `"}`, false},
		"deep":                      {strings.Repeat("[", 101), false},
		"no JSON":                   {strings.Repeat("x", 101), false},
		"spaces":                    {strings.Repeat(" ", 101), false},
		"the second is too large":   {`{"a":1}{"k":"` + strings.Repeat("a", 100) + `"}`, false},
		"closed more than it opens": {strings.Repeat("}", 500), true}, // what reads it refuses it at once
	} {
		got, err := io.ReadAll(&bounded{ReadCloser: io.NopCloser(strings.NewReader(c.body)), most: 100})
		if c.ok && (err != nil || string(got) != c.body) || !c.ok && !errors.Is(err, errTooLarge) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
}
