package bench

import (
	"context"
	"errors"
	"flag"
	"io"
	"path/filepath"

	benchreport "github.com/pontoon-kv/pontoon/bench/report"
)

func renderCommand() Command {
	var from, to string
	var format output
	fs := flag.NewFlagSet("render", flag.ContinueOnError)
	fs.StringVar(&from, "result", "", "result: a directory of `bench run` or its raw.json")
	fs.StringVar(&to, "out", "", "directory of the report")
	format.register(fs)
	return Command{
		Name: "render", Short: "Write the report of a result again, with today's goals", Flags: fs,
		Run: func(ctx context.Context, out, progress io.Writer) error {
			if to == "" {
				return errors.New("--out is empty")
			}
			run, err := load(from)
			if err != nil {
				return err
			}
			if err := errors.Join(format.validate(), benchreport.Write(to, run)); err != nil {
				return err
			}
			return format.print(out, &finished{run, filepath.Join(to, benchreport.Report)}, nil)
		},
	}
}
