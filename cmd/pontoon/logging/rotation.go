package logging

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"gopkg.in/natefinch/lumberjack.v2"
)

// errRotation is etcd's refusal to rotate what is not one file.
var errRotation = errors.New("--log-outputs requires a single file path when --log-rotate-config-json is defined")

// rotation is how files are rotated; nil: they are not.
type rotation struct {
	settings lumberjack.Logger // but for the name of the file
}

func parseRotation(outputs []string, config string) (*rotation, error) {
	files := 0
	for _, out := range outputs {
		switch out {
		case Default, Stderr, Stdout, Journal:
		default:
			files++
		}
	}
	if files > 1 || files == 0 && len(outputs) == 1 {
		return nil, errRotation
	}
	r := &rotation{}
	if err := json.Unmarshal([]byte(config), &r.settings); err != nil {
		var syntax *json.SyntaxError
		var kind *json.UnmarshalTypeError
		switch {
		case errors.As(err, &syntax):
			return nil, fmt.Errorf("improperly formatted log rotation config: %w", err)
		case errors.As(err, &kind):
			return nil, fmt.Errorf("invalid log rotation config: %w", err)
		}
		return nil, fmt.Errorf("fail to unmarshal log rotation config: %w", err)
	}
	return r, nil
}

// open appends to a file.
func (r *rotation) open(path string) (io.WriteCloser, error) {
	// Rotation opens a file at its first line: one that cannot be opened is
	// better said now.
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil || r == nil {
		return file, err
	}
	file.Close()
	return &lumberjack.Logger{
		Filename: path, MaxSize: r.settings.MaxSize, MaxAge: r.settings.MaxAge, MaxBackups: r.settings.MaxBackups,
		LocalTime: r.settings.LocalTime, Compress: r.settings.Compress,
	}, nil
}
