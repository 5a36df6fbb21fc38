// Go's net/http, a goroutine per fetch. The options and the line that it says are those of
// benchmarks/clients/protocol.py; the standard library is all that it needs.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	fetchTimeout    = 60 * time.Second
	pauseAfterError = 10 * time.Millisecond
)

type report struct {
	Fetches      int64             `json:"fetches"`
	Errors       int64             `json:"errors"`
	FirstError   string            `json:"first_error"`
	WallS        float64           `json:"wall_s"`
	CPUS         float64           `json:"cpu_s"`
	PeakRSSBytes int64             `json:"peak_rss_bytes"`
	BodyBytes    int64             `json:"body_bytes"`
	Versions     map[string]string `json:"versions"`
}

type meter struct {
	fetches, errors int64
	once            sync.Once
	firstError      string
}

func (m *meter) failed(reason string) {
	m.once.Do(func() { m.firstError = reason })
	atomic.AddInt64(&m.errors, 1)
}

func main() {
	urlsFile := flag.String("urls", "", "file with a URL a line")
	bodyBytes := flag.Int64("body-bytes", 0, "of every answer")
	concurrency := flag.Int("concurrency", 0, "fetches in flight")
	warmUpS := flag.Float64("warm-up-s", 0, "before the count begins")
	durationS := flag.Float64("duration-s", 0, "of the count")
	http2 := flag.Bool("http2", false, "the origin insists on HTTP/2")
	caBundle := flag.String("ca-bundle", "", "CA certificates for https")
	flag.Parse()

	text, err := os.ReadFile(*urlsFile)
	must(err)
	urls := strings.Fields(string(text))
	client := newClient(*concurrency, *http2, *caBundle)
	counts := &meter{}
	for worker := 0; worker < *concurrency; worker++ {
		go work(client, share(urls, worker, *concurrency), *bodyBytes, counts)
	}

	time.Sleep(seconds(*warmUpS))
	before, cpuBefore, began := atomic.LoadInt64(&counts.fetches), cpuS(), time.Now()
	time.Sleep(seconds(*durationS))
	wallS := time.Since(began).Seconds()
	spentS := cpuS() - cpuBefore
	fetches := atomic.LoadInt64(&counts.fetches) - before
	line := report{
		Fetches: fetches, Errors: atomic.LoadInt64(&counts.errors),
		WallS: wallS, CPUS: spentS, PeakRSSBytes: peakRSSBytes(), BodyBytes: fetches * *bodyBytes,
		Versions: map[string]string{"go": strings.TrimPrefix(runtime.Version(), "go")},
	}
	if line.Errors > 0 {
		counts.once.Do(func() {}) // waits until the first error is written down
		line.FirstError = counts.firstError
	}
	must(json.NewEncoder(os.Stdout).Encode(line))
}

func newClient(concurrency int, http2 bool, caBundle string) *http.Client {
	transport := &http.Transport{
		MaxIdleConnsPerHost: concurrency,
		ForceAttemptHTTP2:   http2,
		TLSClientConfig:     &tls.Config{},
	}
	if caBundle != "" {
		pem, err := os.ReadFile(caBundle)
		must(err)
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			must(fmt.Errorf("no certificate in %s", caBundle))
		}
		transport.TLSClientConfig.RootCAs = pool
	}
	return &http.Client{Transport: transport, Timeout: fetchTimeout}
}

// share is a worker's own part of the URLs, or all of them where there are too few.
func share(urls []string, worker, concurrency int) []string {
	var own []string
	for place := worker; place < len(urls); place += concurrency {
		own = append(own, urls[place])
	}
	if own == nil {
		return urls
	}
	return own
}

func work(client *http.Client, urls []string, bodyBytes int64, counts *meter) {
	for turn := 0; ; turn++ {
		status, size, err := fetch(client, urls[turn%len(urls)])
		switch {
		case err != nil:
			counts.failed(err.Error())
			time.Sleep(pauseAfterError)
		case status != http.StatusOK || size != bodyBytes:
			counts.failed(fmt.Sprintf("status %d with %d bytes instead of 200 with %d", status, size, bodyBytes))
		default:
			atomic.AddInt64(&counts.fetches, 1)
		}
	}
}

// fetch reads the whole body into memory, as every other client does.
func fetch(client *http.Client, url string) (int, int64, error) {
	response, err := client.Get(url)
	if err != nil {
		return 0, 0, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, int64(len(body)), err
}

func cpuS() float64 {
	var usage syscall.Rusage
	must(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}

func peakRSSBytes() int64 {
	text, err := os.ReadFile("/proc/self/status")
	must(err)
	for _, line := range strings.Split(string(text), "\n") {
		var kilobytes int64
		if count, _ := fmt.Sscanf(line, "VmHWM: %d kB", &kilobytes); count == 1 {
			return kilobytes * 1024
		}
	}
	return 0
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
