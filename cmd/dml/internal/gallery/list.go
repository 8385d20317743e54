package gallery

import (
	"bufio"
	"cmp"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/deepmutual/dml/cmd/dml/internal/console"
	"github.com/deepmutual/dml/reid"
)

func nameFlag() cli.Flag {
	return &cli.StringSliceFlag{Name: "name", Usage: "the image of that `NAME`; may be repeated"}
}

// namedFilter reads the filterFlags and the nameFlag.
func namedFilter(ctx *cli.Context) (reid.Filter, error) {
	f, err := galleryFilter(ctx)
	f.Names = ctx.StringSlice("name")
	return f, err
}

func listCommand(c *console.Console) *cli.Command {
	return &cli.Command{
		Name:      "list",
		Usage:     "list the images that fit all flags",
		UsageText: "dml reid gallery list G [flags]",
		Description: "Examples:\n" +
			"  dml reid gallery list G --pid unknown --since 2026-05-01\n" +
			"  dml reid gallery list G --csv > images.csv     a list as dml reid extract --data reads it",
		Flags: slices.Concat([]cli.Flag{nameFlag()}, filterFlags(), []cli.Flag{
			&cli.BoolFlag{Name: "csv", DisableDefaultText: true, Usage: "print path,pid,camid,track,time"},
			console.JSONFlag(),
		}),
		Action: func(ctx *cli.Context) error { return galleryList(c, ctx) },
	}
}

func galleryList(c *console.Console, ctx *cli.Context) (err error) {
	path, others, err := galleryArgument(ctx)
	if err == nil {
		err = noMore(ctx, others)
	}
	if err != nil {
		return err
	}
	if ctx.Bool("csv") && ctx.Bool("json") {
		return console.Usagef("--csv and --json are two ways to print")
	}
	filter, err := namedFilter(ctx)
	if err != nil {
		return err
	}
	info, err := reid.ReadGalleryInfo(path)
	if err != nil {
		return err
	}
	g, err := reid.OpenGallery(path, info.Fingerprint)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.Close()) }()
	images, err := g.Images(filter)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(c.Stdout)
	switch {
	case ctx.Bool("json"):
		err = listJSON(w, images)
	case ctx.Bool("csv"):
		err = listCSV(w, images)
	default:
		err = listTable(w, images)
	}
	if err != nil {
		return err
	}
	return w.Flush()
}

// listed is an image as JSON.
type listed struct {
	Name   string    `json:"name"`
	PID    reid.ID   `json:"pid"` // null where it is not known
	Camera reid.ID   `json:"camid"`
	Track  string    `json:"track,omitempty"`
	Time   time.Time `json:"time,omitzero"`
	Row    int       `json:"row"`
}

// listJSON writes an array, an image a line, as it reads them.
func listJSON(w io.Writer, images iter.Seq2[int, reid.Entry]) error {
	before := "[\n"
	for row, e := range images {
		text, err := json.Marshal(listed{e.Name, e.PID, e.Camera, e.Track, e.Time, row})
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "%s%s", before, text); err != nil {
			return err
		}
		before = ",\n"
	}
	end := "\n]\n"
	if before == "[\n" {
		end = "[]\n"
	}
	_, err := fmt.Fprint(w, end)
	return err
}

func listCSV(w io.Writer, images iter.Seq2[int, reid.Entry]) error {
	out := csv.NewWriter(w)
	if err := out.Write([]string{"path", "pid", "camid", "track", "time"}); err != nil {
		return err
	}
	for _, e := range images {
		at := ""
		if !e.Time.IsZero() {
			at = e.Time.Format(time.RFC3339Nano)
		}
		if err := out.Write([]string{e.Name, string(e.PID), string(e.Camera), e.Track, at}); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// listTable prints some images at a time, each with the width that these need.
func listTable(w io.Writer, images iter.Seq2[int, reid.Entry]) error {
	const atOnce = 1000
	head := []string{"ROW", "NAME", "PID", "CAMERA", "TRACK", "TIME"}
	rows := [][]string{head}
	cell := func(text string) string { return cmp.Or(console.Plain(text), "-") }
	for row, e := range images {
		rows = append(rows, []string{strconv.Itoa(row), console.Plain(e.Name), cell(string(e.PID)), cell(string(e.Camera)), cell(e.Track), timeCell(e.Time)})
		if len(rows) > atOnce {
			if err := console.Table(w, rows); err != nil {
				return err
			}
			rows = rows[:0]
		}
	}
	if len(rows) == 0 {
		return nil
	}
	return console.Table(w, rows)
}
