// Command testpod is the image that the tests of the node run in pods: a web server, and small commands for `kubectl exec`.
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "testpod:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("usage: testpod serve ADDRESS | get URL | lookup NAME | write FILE | read FILE | eat MEBIBYTES")
	}
	value := args[1]
	switch args[0] {
	case "serve":
		return serve(value)
	case "get":
		return get(value)
	case "lookup":
		addresses, err := net.LookupHost(value)
		fmt.Println(strings.Join(addresses, " "))
		return err
	case "write":
		return os.WriteFile(value, fmt.Appendf(nil, "written by uid %d\n", os.Getuid()), 0o600)
	case "read":
		content, err := os.ReadFile(value)
		fmt.Print(string(content))
		return err
	case "eat":
		return eat(value)
	}
	return fmt.Errorf("unknown command %q", args[0])
}

func serve(address string) error {
	fmt.Println("testpod serves on", address)
	name, err := os.Hostname()
	if err != nil {
		return err
	}
	return http.ListenAndServe(address, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "testpod %s\n", name)
	}))
}

func get(url string) error {
	client := http.Client{Timeout: 3 * time.Second}
	response, err := client.Get(url)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, err = io.Copy(os.Stdout, response.Body)
	return err
}

// eat fills memory page by page, until the limit of the pod's cgroup ends the process.
func eat(mebibytes string) error {
	var count int
	if _, err := fmt.Sscan(mebibytes, &count); err != nil {
		return err
	}
	block := make([]byte, count<<20)
	for i := 0; i < len(block); i += 4096 {
		block[i] = 1
	}
	fmt.Println("ate", len(block)>>20)
	return nil
}
