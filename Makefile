.PHONY: run test generate lint ci bench verify

run: ## a working gateway with demo data
	go run .

test: ## everything that needs Go and PostgreSQL's programs only
	go test ./...

generate: ## make graph/ from schema.graphqls and gqlgen.yml
	go generate ./...

lint:
	go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0 run ./...

ci: ## what has to pass before anything lands
	.ci/run

bench: ## payments a second against pgbench
	go run ./bench

verify: ## the whole database against the log
	go run . verify
