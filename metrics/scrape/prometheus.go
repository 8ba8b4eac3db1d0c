package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// promServer is a Prometheus that runs.
type promServer struct {
	address string
	dir     string // of its data
	cmd     *exec.Cmd
	stop    func()
	ended   chan struct{} // closed when it has
	words   bytes.Buffer  // what it said, once it has ended
}

const config = `global:
  scrape_interval: 500ms
  scrape_timeout: 500ms
scrape_configs:
- job_name: weir
  static_configs:
  - targets: [%q]
`

// start has the Prometheus of bin scrape target.
func start(ctx context.Context, bin, target string) (*promServer, error) {
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "weir-prometheus-")
	if err != nil {
		return nil, err
	}
	p := &promServer{address: address, dir: dir, ended: make(chan struct{})}
	file := filepath.Join(dir, "prometheus.yml")
	if err = os.WriteFile(file, fmt.Appendf(nil, config, target), 0o600); err == nil {
		ctx, cancel := context.WithCancel(ctx)
		p.cmd = exec.CommandContext(ctx, filepath.Join(bin, "prometheus"),
			"--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address, "--log.level=warn")
		p.cmd.Cancel = func() error { return p.cmd.Process.Signal(syscall.SIGTERM) }
		p.cmd.WaitDelay = 5 * time.Second
		p.cmd.Stdout, p.cmd.Stderr = &p.words, &p.words
		p.stop = func() {
			cancel()
			<-p.ended
			_ = os.RemoveAll(dir)
		}
		err = p.cmd.Start()
		if err != nil {
			cancel()
		}
	}
	if err != nil {
		_ = os.RemoveAll(dir)
		return nil, fmt.Errorf("cannot start Prometheus (make prometheus fetches it): %w", err)
	}
	go func() {
		_ = p.cmd.Wait() // the words tell more
		close(p.ended)
	}()
	return p, nil
}

// freeAddress gives one that nobody listens at: Prometheus does not tell which
// port it chose.
func freeAddress(ctx context.Context) (string, error) {
	lis, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return lis.Addr().String(), lis.Close()
}

// question is a query and the value of each series that it has to give.
type question struct{ query, want string }

// until asks q until it is answered as it should be.
func (p *promServer) until(ctx context.Context, q question) error {
	pace := time.NewTicker(100 * time.Millisecond)
	defer pace.Stop()
	for {
		got, err := ask(ctx, p.address, q.query)
		if err == nil && got == q.want {
			return nil
		}
		select {
		case <-pace.C:
		case <-p.ended:
			return fmt.Errorf("prometheus has ended: %s", p.words.String())
		case <-ctx.Done():
			if err == nil {
				err = fmt.Errorf("it is %q, want %q", got, q.want)
			}
			return fmt.Errorf("%w: %s: %w", context.Cause(ctx), q.query, err)
		}
	}
}

// ask gives the value of the one series of a query, or "" if there is none.
func ask(ctx context.Context, address, query string) (value string, err error) {
	all, err := askAll(ctx, address, query)
	switch {
	case err != nil:
		return "", err
	case len(all) == 0:
		return "", nil
	case len(all) > 1:
		return "", fmt.Errorf("%s gives %d series, want one", query, len(all))
	}
	return all[0], nil
}

// askAll gives the values of all series of a query.
func askAll(ctx context.Context, address, query string) (values []string, err error) {
	body, err := get(ctx, "http://"+address+"/api/v1/query?query="+url.QueryEscape(query))
	if err != nil {
		return nil, err
	}
	var answer struct {
		Status, Error string
		Data          struct {
			Result []struct{ Value [2]any }
		}
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("%s answered %q: %w", address, body, err)
	}
	if answer.Status != "success" {
		return nil, fmt.Errorf("%s answered %s: %s", address, answer.Status, answer.Error)
	}
	for _, r := range answer.Data.Result {
		values = append(values, fmt.Sprint(r.Value[1]))
	}
	return values, nil
}

// examples gives the queries of a document: the lines of its promql blocks that
// are no comments.
func examples(doc string) (queries []string) {
	inside := false
	for line := range strings.Lines(doc) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "```"):
			inside = line == "```promql"
		case inside && line != "" && line[0] != '#':
			queries = append(queries, line)
		}
	}
	return queries
}

func get(ctx context.Context, address string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}

// checkMetrics has the promtool of bin look at a page of metrics.
func checkMetrics(ctx context.Context, bin, address string) error {
	page, err := get(ctx, address)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "promtool"), "check", "metrics")
	cmd.Stdin = bytes.NewReader(page)
	if words, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("promtool check metrics (make prometheus fetches it): %w: %s", err, words)
	}
	return nil
}
