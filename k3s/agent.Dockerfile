# Unverified: never built or run (see README.md beside this file).
FROM node:24-bookworm-slim AS build
WORKDIR /edgeloop
RUN npm install --global pnpm@10.34.9
COPY package.json pnpm-lock.yaml pnpm-workspace.yaml tsconfig.json ./
COPY protocol protocol
COPY edge-agent edge-agent
COPY cli cli
# --no-optional leaves node-av out; ffmpeg below takes its place.
RUN pnpm install --prod --no-optional --frozen-lockfile --filter '@edgeloop/edge-agent...' --filter '@edgeloop/cli'

FROM node:24-bookworm-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends ffmpeg \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /edgeloop
COPY --from=build /edgeloop .
# Each live camera parks one thread of libuv's pool.
ENV UV_THREADPOOL_SIZE=32
USER node
VOLUME /data
ENTRYPOINT ["node", "cli/src/main.ts", "agent", "--data", "/data"]
