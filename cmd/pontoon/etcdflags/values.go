package etcdflags

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/types"
)

// value is a setting of one type. Texts of refusals are those of Go's flag
// package, which etcd uses.
type value[T any] struct {
	to    *T
	kind  string
	parse func(string) (T, error)
	text  func(T) string
	// json reads a configuration file; nil: as T is encoded.
	json func(json.RawMessage) (T, error)
}

// Set implements Value.
func (v *value[T]) Set(s string) error {
	got, err := v.parse(s)
	if err == nil {
		*v.to = got
	}
	return err
}

// String implements Value; also for the zero value, as package flag demands.
func (v *value[T]) String() string {
	if v == nil || v.to == nil {
		return ""
	}
	return v.text(*v.to)
}

// Type implements Value.
func (v *value[T]) Type() string { return v.kind }

// IsBoolFlag implements Value.
func (v *value[T]) IsBoolFlag() bool { return v.kind == "bool" }

// SetJSON implements Value.
func (v *value[T]) SetJSON(raw json.RawMessage) error {
	if string(raw) == "null" { // a key without a value keeps the default
		return nil
	}
	if v.json == nil {
		return json.Unmarshal(raw, v.to)
	}
	got, err := v.json(raw)
	if err == nil {
		*v.to = got
	}
	return err
}

// maker makes the value of a flag for some settings.
type maker = func(*Settings) Value

// unused is a flag that nothing reads: it takes what etcd takes.
func unused[T any](kind func(func(*Settings) *T) maker, initial T) maker {
	return func(s *Settings) Value {
		to := initial
		return kind(func(*Settings) *T { return &to })(s)
	}
}

func text(at func(*Settings) *string) maker {
	return func(s *Settings) Value {
		return &value[string]{
			to: at(s), kind: "string",
			parse: func(t string) (string, error) { return t, nil },
			text:  func(t string) string { return t }, json: scalarText,
		}
	}
}

// scalarText reads a string; a number or a truth value is the text that it
// is written as.
func scalarText(raw json.RawMessage) (string, error) {
	var t string
	err := json.Unmarshal(raw, &t)
	if err == nil || strings.ContainsAny(string(raw[:1]), "[{") {
		return t, err
	}
	return string(raw), nil
}

func boolean(at func(*Settings) *bool) maker {
	return func(s *Settings) Value {
		return &value[bool]{to: at(s), kind: "bool", text: strconv.FormatBool, parse: func(t string) (bool, error) {
			b, err := strconv.ParseBool(t)
			return b, parseError(err)
		}}
	}
}

// parseError shortens an error of package strconv as package flag does.
func parseError(err error) error {
	switch {
	case errors.Is(err, strconv.ErrSyntax):
		return errors.New("parse error")
	case errors.Is(err, strconv.ErrRange):
		return errors.New("value out of range")
	}
	return err
}

func number[T ~int | ~int64 | ~uint | ~uint32 | ~uint64](at func(*Settings) *T) maker {
	return func(s *Settings) Value {
		return &value[T]{
			to: at(s), kind: fmt.Sprintf("%T", T(0)), parse: parseNumber[T],
			text: func(n T) string { return fmt.Sprint(n) },
		}
	}
}

func parseNumber[T ~int | ~int64 | ~uint | ~uint32 | ~uint64](t string) (T, error) {
	var zero T
	if zero-1 < 0 {
		n, err := strconv.ParseInt(t, 0, 64)
		return T(n), parseError(err)
	}
	n, err := strconv.ParseUint(t, 0, 64)
	if err == nil && uint64(T(n)) != n {
		err = strconv.ErrRange
	}
	return T(n), parseError(err)
}

// duration is written 10m on a command line, in nanoseconds in a file.
func duration(at func(*Settings) *time.Duration) maker {
	return func(s *Settings) Value {
		return &value[time.Duration]{to: at(s), kind: "duration", text: time.Duration.String, parse: func(t string) (time.Duration, error) {
			d, err := time.ParseDuration(t)
			if err != nil {
				return 0, errors.New("parse error")
			}
			return d, nil
		}}
	}
}

// inUnits is a duration that is written as a number.
func inUnits(unit time.Duration) func(func(*Settings) *time.Duration) maker {
	of := func(n uint) (time.Duration, error) {
		if uint64(n) > uint64(1<<63-1)/uint64(unit) {
			return 0, errors.New("value out of range")
		}
		return time.Duration(n) * unit, nil
	}
	return func(at func(*Settings) *time.Duration) maker {
		return func(s *Settings) Value {
			return &value[time.Duration]{
				to: at(s), kind: "uint", text: func(d time.Duration) string { return strconv.FormatInt(int64(d/unit), 10) },
				parse: func(t string) (time.Duration, error) {
					n, err := parseNumber[uint](t)
					if err != nil {
						return 0, err
					}
					return of(n)
				},
				json: func(raw json.RawMessage) (time.Duration, error) {
					var n uint
					if err := json.Unmarshal(raw, &n); err != nil {
						return 0, err
					}
					return of(n)
				},
			}
		}
	}
}

// list is separated by commas on a command line, a list in a file.
func list(at func(*Settings) *[]string) maker { return listOf(at, nil) }

// commaList is separated by commas in a file, too.
func commaList(at func(*Settings) *[]string) maker { return listOf(at, scalarText) }

func listOf(at func(*Settings) *[]string, asText func(json.RawMessage) (string, error)) maker {
	return func(s *Settings) Value {
		v := &value[[]string]{
			to: at(s), kind: "strings",
			parse: func(t string) ([]string, error) { return strings.Split(t, ","), nil },
			text:  func(l []string) string { return strings.Join(l, ",") },
		}
		v.viaText(asText)
		return v
	}
}

// viaText has a file hold what a command line holds.
func (v *value[T]) viaText(asText func(json.RawMessage) (string, error)) {
	if asText == nil {
		return
	}
	v.json = func(raw json.RawMessage) (T, error) {
		t, err := asText(raw)
		if err != nil || t == "" {
			return *v.to, err
		}
		return v.parse(t)
	}
}

// urls is a list of URLs, each once, in order. A text of may is good as it is.
func urls(may ...string) func(func(*Settings) *[]string) maker {
	return func(at func(*Settings) *[]string) maker {
		return func(s *Settings) Value {
			v := &value[[]string]{
				to: at(s), kind: "urls",
				text: func(l []string) string { return strings.Join(l, ",") },
				parse: func(t string) ([]string, error) {
					switch {
					case !slices.Contains(may, t):
					case t == "":
						return nil, nil
					default:
						return []string{t}, nil
					}
					parsed, err := types.NewURLs(strings.Split(t, ","))
					return slices.Compact(parsed.StringSlice()), err
				},
			}
			v.viaText(scalarText)
			return v
		}
	}
}

// oneOf is one of some words.
func oneOf(words ...string) func(func(*Settings) *string) maker {
	return func(at func(*Settings) *string) maker {
		return func(s *Settings) Value {
			return &value[string]{
				to: at(s), kind: "string", text: func(t string) string { return t }, json: scalarText,
				parse: func(t string) (string, error) {
					if !slices.Contains(words, t) {
						return "", errors.New("invalid value")
					}
					return t, nil
				},
			}
		}
	}
}
