# Unverified: never built or run (see README.md beside this file).
FROM node:24-bookworm-slim AS build
WORKDIR /edgeloop
RUN npm install --global pnpm@10.34.9
COPY package.json pnpm-lock.yaml pnpm-workspace.yaml tsconfig.json ./
COPY cloud-hub/package.json cloud-hub/package.json
COPY dashboard/package.json dashboard/package.json
COPY model-compiler/package.json model-compiler/package.json
COPY protocol protocol
COPY edge-agent edge-agent
COPY cli cli
# node-av is taken out before anything is copied to the image: its binary is under GPLv3 terms, and ffmpeg
# below takes its place. (`--no-optional` would take sharp's binaries too.)
RUN pnpm install --prod --frozen-lockfile --filter '@edgeloop/edge-agent...' --filter '@edgeloop/cli' \
 && rm -rf node_modules/.pnpm/node-av@* node_modules/.pnpm/@seydx* edge-agent/node_modules/node-av

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
